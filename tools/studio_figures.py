"""How long the studio takes, in a headless Chromium on this machine: python -m tools.studio_figures [rounds].

Prints the table of docs/performance.md. Of every figure the least of all rounds counts: what else the machine
has to do makes it longer and never shorter.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
SIZE = {"width": 1440, "height": 900}
PHOTO = Path(__file__).parent.parent / "examples" / "photos" / "rocket.jpg"

DRAG = """async () => {
  const canvas = document.getElementById('canvas');
  const photo = document.querySelector('.photo').getBoundingClientRect();
  canvas.setPointerCapture = () => {};
  const place = (x, y) => ({ clientX: photo.left + x * photo.width, clientY: photo.top + y * photo.height });
  const hand = (type, x, y) => canvas.dispatchEvent(
    new PointerEvent(type, { pointerId: 1, bubbles: true, button: 0, ...place(x, y) }));
  const frame = () => new Promise(requestAnimationFrame);
  hand('pointerdown', 0.502, 0.55);
  const asked = performance.now();
  for (let k = 1; !document.querySelector('.moving:not([hidden])'); k += 1) {
    hand('pointermove', 0.502, 0.55 - 0.01 * (k % 20));
    await frame();
  }
  const known = performance.now() - asked;
  const times = [];
  for (let k = 0; k < 60; k += 1) {
    const began = performance.now();
    hand('pointermove', 0.502, 0.5 - 0.004 * k);
    await frame();
    await frame();
    times.push(performance.now() - began);
  }
  hand('pointerup', 0.502, 0.26);
  return [known, Math.min(...times)];
}"""

BENDING = """async () => {
  const { Moving } = await mofaStudio.module('canvas/moving.js');
  const moving = new Moving();
  moving.resize(1280, 853);
  const photo = document.createElement('canvas');
  Object.assign(photo, { width: 1280, height: 853 });
  const pen = photo.getContext('2d');
  pen.fillStyle = '#468';
  pen.fillRect(0, 0, 1280, 853);
  const box = [-0.5, -0.5, 1279.5, 852.5];
  const bent = (k) => (x, y) => [x + 40 * k * Math.sin(y / 90), y];
  const layers = [0, 1].map((k) => ({ canvas: photo, box, warp: bent(k) }));
  const gl = moving.element.getContext('webgl');
  const times = [];
  for (let k = 0; k < 80; k += 1) {
    const began = performance.now();
    moving.drawLayers(layers, { width: 1280, height: 853 });
    // Only what is read back has been drawn.
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
    times.push(performance.now() - began);
    if (k % 10 === 9) await new Promise(requestAnimationFrame);
  }
  return Math.min(...times);
}"""


TWENTY_LINES = """async () => {
  const { newControl } = await mofaStudio.module('state/scene.js');
  const { store } = mofaStudio;
  const place = (row, k) => [20 + 50 * k, 12 * row + 20 * Math.sin(k + row) + 30];
  const points = (row) => Array.from({ length: 8 }, (_, k) => place(row, k));
  store.edit({ controls: Array.from({ length: 20 }, (_, row) => newControl(store.document, {
    kind: 'track', points: points(row),
  })) });
  await new Promise(requestAnimationFrame);
  const canvas = document.getElementById('canvas');
  const { left, top, width, height } = document.querySelector('.photo').getBoundingClientRect();
  canvas.setPointerCapture = () => {};
  const spot = (x, y) => ({ clientX: left + x * width, clientY: top + y * height });
  const hand = (type, x, y) => canvas.dispatchEvent(
    new PointerEvent(type, { pointerId: 1, bubbles: true, ...spot(x, y) }));
  const rates = [];
  for (let round = 0; round < 5; round += 1) {
    hand('pointerdown', 0.1, 0.7);
    const began = performance.now();
    let frames = 0;
    let now = began;
    while (now - began < 600) {
      now = await new Promise(requestAnimationFrame);
      frames += 1;
      hand('pointermove', 0.1 + 0.005 * frames, 0.7 - 0.1 * Math.sin(frames / 9));
    }
    if (!store.view.drafting) throw new Error('no line was drawn');
    hand('pointerup', 0.5, 0.6);
    rates.push((1000 * frames) / (now - began));
    store.undo();
  }
  return Math.max(...rates);
}"""


@contextmanager
def serving() -> Iterator[str]:
    """A studio of its own."""
    with socket.socket() as probe, tempfile.TemporaryDirectory(prefix="mofa-") as home:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        command = [sys.executable, "-m", "mofa.apps.cli", "studio", "--no-open", "--port", str(port)]
        server = subprocess.Popen([*command, "--home", home], stderr=subprocess.DEVNULL)
        address = f"http://127.0.0.1:{port}"
        try:
            while True:
                try:
                    urllib.request.urlopen(f"{address}/studio/start", timeout=2).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield address
        finally:
            server.terminate()
            server.wait(20)


def first_stroke(page: Any, address: str) -> dict[str, float]:
    """From an empty page to the rocket's true preview, once."""
    page.goto(address)
    page.wait_for_selector("#studio[data-ready]", state="attached")
    found = {"ready": page.evaluate("performance.now()")}
    page.click("[data-example='1-liftoff']")
    page.wait_for_selector(".photo:not([hidden])")
    page.evaluate("mofaStudio.store.load({ ...mofaStudio.store.document, controls: [], region: null })")
    page.wait_for_function("document.querySelector('.photo').complete")
    found["known"], found["drag"] = page.evaluate(DRAG)
    page.wait_for_selector(".preview[data-seconds]")
    found["preview"] = 1000 * float(page.locator(".preview").get_attribute("data-seconds"))
    found["bending"] = page.evaluate(BENDING)
    # Of a rate the largest counts, as of a time the least.
    found["between frames"] = 1000 / page.evaluate(TWENTY_LINES)
    return found


def first_clip(page: Any, address: str) -> float:
    """Seconds from a person's own photo to the clip that plays; what the person does takes no time.

    Three actions: choose a photo, draw one line, make the clip. All settings are as they come.
    """
    page.goto(address)
    page.wait_for_selector("#studio[data-ready]", state="attached")
    began = time.perf_counter()
    with page.expect_file_chooser() as chooser:
        page.click(".drop")
    chooser.value.set_files(PHOTO)
    page.wait_for_selector(".photo:not([hidden])")
    page.wait_for_function("document.querySelector('.photo').complete")
    box = page.locator(".photo").bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.55 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.3 * box["height"], steps=10)
    page.mouse.up()
    page.click("#generate")
    page.wait_for_selector(".results video")
    page.wait_for_function("document.querySelector('.results video').readyState === 4")
    return time.perf_counter() - began


def main(rounds: int) -> None:
    """Measures and prints."""
    sizes: list[int] = []
    with serving() as address, sync_playwright() as session:
        browser = session.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        taken = []
        for k in range(rounds):
            page = browser.new_context(viewport=SIZE, bypass_csp=True).new_page()
            page.set_default_timeout(600_000)
            if k == 0:
                page.on("response", lambda response: sizes.append(len(response.body())))
            figures = first_stroke(page, address)
            page.context.close()
            page = browser.new_context(viewport=SIZE, bypass_csp=True).new_page()
            page.set_default_timeout(600_000)
            taken.append(figures | {"clip": first_clip(page, address)})
            page.context.close()
            print(f"round {k + 1}: " + ", ".join(f"{n} {v:.3g}" for n, v in taken[-1].items()), flush=True)
        browser.close()
    best = {name: min(one[name] for one in taken) for name in taken[0]}
    rows = {
        "page ready": f"{best['ready'] / 1000:.2f} s",
        "first thing of a photo known": f"{best['known'] / 1000:.2f} s",
        "hand to moving photo": f"{best['drag']:.0f} ms",
        "two layers of 1280 x 853 bent and drawn": f"{best['bending']:.0f} ms",
        "true preview": f"{best['preview'] / 1000:.2f} s",
        "frames a second while a line is drawn over twenty others": f"{1000 / best['between frames']:.0f}",
        "first clip of an own photo, three actions": f"{best['clip']:.1f} s",
    }
    print(f"\n| studio, {os.cpu_count()} cores, no GPU | |\n|---|---|")
    print("\n".join(f"| {name} | {value} |" for name, value in rows.items()))
    print(f"{len(sizes)} answers, {sum(sizes) / 1e6:.2f} MB, the example's photo included")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
