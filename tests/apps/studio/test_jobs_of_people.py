"""Whole jobs, as people do them, each from an empty page to the clip; and what their eyes and hands need."""

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[3] / "tools" / "javascript" / "node_modules" / "axe-core" / "axe.min.js"


def smaller(page: Any, frames: int = 8) -> None:
    """A clip that is soon made."""
    page.evaluate(
        """frames => {
          const { store } = mofaStudio;
          const { width, height } = store.document.picture;
          const side = 2 * Math.round(80 * height / width);
          store.edit({ frames, size: [160, side] });
        }""",
        frames,
    )


def clip(page: Any, size: Callable[..., None] = smaller) -> Any:
    """Generates, and waits for the clip to play."""
    size(page)
    page.click("#generate")
    page.wait_for_selector(".results video")
    page.wait_for_function("document.querySelector('.results video').readyState === 4")
    return page.locator(".results video")


def opened(page: Any, name: str, hand: Any) -> Any:
    """An example's photo, without what is drawn on it."""
    page.wait_for_selector(f"[data-example='{name}']")
    page.click(f"[data-example='{name}']")
    page.wait_for_selector(".photo:not([hidden])")
    hand.settled(page)
    page.evaluate("mofaStudio.store.load({ ...mofaStudio.store.document, controls: [], region: null })")
    return hand.settled(page)


def test_a_rocket_lifts_off_by_one_stroke(visit: Callable[..., Any], hand: Any) -> None:
    page = opened(visit(), "1-liftoff", hand)
    hand.drag(page, (50.2, 55), (50.2, 25))
    assert hand.document(page)["controls"][0]["region"]["select"]
    page.wait_for_selector(".canvas[data-moving=true]")
    assert page.locator("[data-chip=thing]").get_attribute("aria-pressed") == "true"
    clip(page)


def test_what_a_line_moves_is_chosen_by_a_word(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (45, 55), (60, 45))
    canvas.wait_for_selector("[data-chip=thing][aria-pressed=true]")
    canvas.click("[data-chip=around]")
    assert hand.document(canvas)["controls"][0]["region"] is None
    assert "anything nearby" in hand.settled(canvas).locator(".inspector .region").text_content()
    canvas.click("[data-chip=everything]")
    assert hand.document(canvas)["controls"][0]["region"]["mask"]
    canvas.evaluate("mofaStudio.store.look({ selected: null })")
    canvas.keyboard.press("b")
    hand.drag(canvas, (30, 50), (60, 50))
    canvas.keyboard.press("v")
    canvas.evaluate(
        """() => {
          const [{ id }] = mofaStudio.store.document.controls;
          mofaStudio.store.editControl(id, { region: null });
          mofaStudio.store.look({ selected: id });
        }"""
    )
    hand.settled(canvas)
    assert "limited by the scene" in canvas.locator(".inspector .region").text_content()
    assert canvas.locator(".chips").is_hidden(), "what is painted for the scene decides"


def test_a_click_adds_a_thing_and_alt_takes_it_away(canvas: Any, hand: Any) -> None:
    canvas.keyboard.press("r")
    canvas.mouse.click(*hand.place(canvas, 45, 55))
    first = hand.document(canvas)["region"]
    assert first["select"]
    assert canvas.locator(".regions").is_visible()
    canvas.mouse.click(*hand.place(canvas, 90, 15))
    canvas.keyboard.down("Alt")
    canvas.mouse.click(*hand.place(canvas, 60, 80))
    canvas.keyboard.up("Alt")
    words = hand.document(canvas)["region"]["select"]
    assert re.fullmatch(r"\d+,\d+ \+\d+,\d+ -\d+,\d+", words)
    canvas.keyboard.press("b")
    hand.drag(canvas, (40, 40), (45, 40))
    painted = hand.document(canvas)["region"]["mask"]
    canvas.keyboard.press("r")
    canvas.mouse.click(*hand.place(canvas, 90, 15))
    canvas.wait_for_function("mask => mofaStudio.store.document.region?.mask !== mask", arg=painted)


def test_rows_are_named_hidden_locked_and_moved(canvas: Any, hand: Any) -> None:
    for y in (30, 60):
        hand.drag(canvas, (20, y), (35, y))
        canvas.keyboard.press("Escape")
    canvas.dblclick(".row >> nth=0 >> .title")
    canvas.fill("input.rename", "Ear d")
    canvas.keyboard.press("Enter")
    assert canvas.locator(".row .title").first.text_content() == "Ear d"
    canvas.keyboard.press("Delete")
    assert len(hand.document(canvas)["controls"]) == 1, "the row that was touched is selected"
    canvas.keyboard.press("Control+z")
    row = canvas.locator(".row >> nth=1")
    row.hover()
    row.locator("[aria-label^=Lock]").click()
    points = hand.document(canvas)["controls"][1]["points"]
    canvas.keyboard.press("v")
    hand.drag(canvas, (28, 60), (28, 80))
    assert hand.document(canvas)["controls"][1]["points"] == points
    row.locator("[aria-label^=Hide]").click()
    names = "[...document.querySelectorAll('.row .title')].map((title) => title.textContent)"
    assert canvas.evaluate(names) == ["Ear d", "Track 2"]
    hand.settled(canvas)
    box, target = (canvas.locator(f".row >> nth={k} >> .title").bounding_box() for k in (0, 1))
    canvas.mouse.move(box["x"] + 40, box["y"] + 10)
    canvas.mouse.down()
    canvas.mouse.move(target["x"] + 40, target["y"] + 20, steps=5)
    canvas.mouse.up()
    assert canvas.evaluate(names) == ["Track 2", "Ear d"], "names stay with their lines"


def test_several_lines_are_moved_copied_and_deleted_at_once(canvas: Any, hand: Any) -> None:
    for y in (30, 60):
        hand.drag(canvas, (20, y), (35, y))
    canvas.keyboard.press("Control+a")
    before = [control["points"] for control in hand.document(canvas)["controls"]]
    canvas.keyboard.press("v")
    hand.drag(canvas, (28, 30), (28, 40))
    after = [control["points"] for control in hand.document(canvas)["controls"]]
    height = hand.document(canvas)["picture"]["height"]
    for old, new in zip(before, after, strict=True):
        assert new[0][1] - old[0][1] == pytest.approx(0.1 * height, abs=1)
    canvas.keyboard.press("Control+d")
    copies = [control["id"] for control in hand.document(canvas)["controls"]][2:]
    assert len(copies) == 2
    assert canvas.evaluate("mofaStudio.store.chosen.map(({ id }) => id)") == copies
    canvas.keyboard.press("Control+z")
    assert len(hand.document(canvas)["controls"]) == 2, "what came at once goes at once"
    canvas.keyboard.press("Control+Shift+z")
    canvas.keyboard.press("Control+a")
    canvas.keyboard.press("Delete")
    assert hand.document(canvas)["controls"] == []
    canvas.keyboard.press("Control+z")
    assert len(hand.document(canvas)["controls"]) == 4


def test_what_a_line_moves_is_what_it_begins_on(visit: Callable[..., Any], hand: Any) -> None:
    page = opened(visit(), "1-liftoff", hand)
    hand.drag(page, (50.2, 55), (50.2, 35), (58, 25))
    [line] = hand.document(page)["controls"]
    page.click("[data-shape=reverse]")
    [back] = hand.document(page)["controls"]
    assert back["points"][0] == line["points"][0], "the thing goes from where it is"
    assert back["points"][-1][0] < line["points"][0][0] - 10, "and the other way"
    assert back["region"] == line["region"]
    page.keyboard.press("v")
    start = back["points"][0]
    size = hand.document(page)["picture"]
    at = (100 * start[0] / size["width"], 100 * start[1] / size["height"])
    hand.drag(page, at, (20, 20))
    [moved] = hand.document(page)["controls"]
    assert moved["region"] is None, "nobody means the sky"
    page.keyboard.press("Control+z")
    assert hand.document(page)["controls"] == [back], "one step"
    assert page.locator(".notice:not(:empty)").count() == 0


def test_the_camera_moves_together_with_a_thing(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (40, 60), (50, 50))
    canvas.keyboard.press("c")
    canvas.click("#canvas", position={"x": 300, "y": 200})
    canvas.click("[data-move=in]")
    document = hand.document(canvas)
    assert [control["kind"] for control in document["controls"]] == ["track", "camera"]
    assert document["controls"][1]["move"]["zoom"] == 1.25
    clip(canvas)


def test_a_flower_sways_by_one_click(visit: Callable[..., Any], hand: Any) -> None:
    page = opened(visit(), "3-dandelion", hand)
    page.keyboard.press("w")
    page.mouse.click(*hand.place(page, 30, 42))
    [sway] = hand.document(page)["controls"]
    assert (sway["kind"], sway["like"]) == ("sway", "wind")
    page.click("[data-value=breath]")
    page.wait_for_selector(".canvas[data-moving=true]")
    clip(page)


def test_a_thing_is_moved_turned_and_grown_by_its_handles(canvas: Any, hand: Any) -> None:
    canvas.keyboard.press("t")
    canvas.mouse.click(*hand.place(canvas, 45, 55))
    assert len(hand.document(canvas)["controls"]) == 1
    canvas.evaluate("mofaStudio.player.seek(mofaStudio.store.document.frames - 1)")
    hand.drag(canvas, (45, 55), (50, 55))
    [moved] = hand.document(canvas)["controls"]
    assert moved["keys"][0]["x"] == pytest.approx(0.05 * 451, abs=2)
    canvas.evaluate("mofaStudio.player.seek(mofaStudio.store.document.frames - 1)")
    hand.settled(canvas)
    canvas.fill(".inspector .quads >> nth=0 >> input >> nth=2", "20")
    canvas.keyboard.press("Enter")
    assert not canvas.evaluate("mofaStudio.player.playing"), "the moment whose pose is typed in stays"
    hand.settled(canvas).evaluate("mofaStudio.player.seek(12)")
    canvas.fill(".inspector .quads >> nth=0 >> input >> nth=3", "1.5")
    canvas.keyboard.press("Enter")
    [posed] = hand.document(canvas)["controls"]
    assert [(key["at"], key["scale"]) for key in posed["keys"]] == [(0.5, 1.5), (1, 1)]
    assert posed["keys"][1]["rotate"] == 20
    assert canvas.locator(".moment").count() == 2
    hand.settled(canvas).evaluate("mofaStudio.player.seek(20)")
    canvas.wait_for_selector(".canvas[data-moving=true]")


def tip_of(page: Any, select: str) -> tuple[float, float]:
    """What is uppermost of a thing on the canvas, in percent of the photo."""
    address = page.evaluate(
        """async (select) => {
          const body = JSON.stringify({ picture: mofaStudio.store.document.picture.name, select });
          const headers = { 'Content-Type': 'application/json' };
          return (await (await fetch('studio/things', { method: 'POST', headers, body })).json()).mask;
        }""",
        select,
    )
    mask = np.array(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("L"))
    row, column = np.argwhere(mask > 127)[0]
    return 100 * (column + 0.5) / mask.shape[1], 100 * (row + 0.5) / mask.shape[0]


HANDLES = """async ([frame]) => {
  const { handlesOf } = await mofaStudio.module('canvas/thing_tools.js');
  const { together, pullsAt } = await mofaStudio.module('canvas/warp.js');
  const { mapOf, poseOf } = await mofaStudio.module('canvas/pose.js');
  const { extentOf } = await mofaStudio.module('canvas/outline.js');
  const { store } = mofaStudio;
  const { picture, frames } = store.document;
  const mask = document.createElement('canvas');
  Object.assign(mask, { width: picture.width, height: picture.height });
  mask.getContext('2d').fillRect(0.4 * picture.width, 0.4 * picture.height, 80, 50);
  const region = { select: 'here' };
  const all = { strength: 1, start: 0, end: null, region };
  const line = { ...all, kind: 'track', points: [[150, 150], [190, 120]], ease: 'linear' };
  const key = { x: 10, y: 20, rotate: 40, scale: 1.5, at: 1, ease: 'linear' };
  const turned = { ...all, kind: 'transform', keys: [key], ease: 'in-out' };
  const viewport = { toScreen: (place) => place };
  const stage = {
    store: { document: { picture, frames, controls: [line, turned], region: null } },
    regions: { canvas: (one) => (one ? mask : null) }, player: { frame }, viewport };
  const shown = frame || frames - 1;
  const { centre, box: [left, top] } = extentOf(mask, picture);
  const bent = together(pullsAt([line], shown, frames))(left, top);
  return [handlesOf(stage, turned).corners[0], mapOf(poseOf(turned, shown, frames), centre)(...bent)];
}"""


def test_the_handles_of_a_thing_are_where_the_photo_shows_it(canvas: Any) -> None:
    for frame in (0, 4, 9):
        handle, shown = canvas.evaluate(HANDLES, [frame])
        assert np.allclose(handle, shown, atol=0.01)


def test_a_thing_is_bent_at_a_tip_and_what_lies_opposite_holds(canvas: Any, hand: Any) -> None:
    canvas.keyboard.press("t")
    canvas.mouse.click(*hand.place(canvas, 45, 55))
    [thing] = hand.document(canvas)["controls"]
    x, y = tip_of(canvas, thing["region"]["select"])
    canvas.evaluate("mofaStudio.player.rest()")
    hand.drag(canvas, (x, y), (x + 6, y))
    same, bend, *held = hand.document(canvas)["controls"]
    width = hand.document(canvas)["picture"]["width"]
    assert same["keys"] == thing["keys"]
    assert all(line["region"] == thing["region"] for line in (bend, *held))
    assert bend["points"][1][0] - bend["points"][0][0] == pytest.approx(0.06 * width, abs=2)
    assert held
    assert all(len(anchor["points"]) == 1 for anchor in held)
    assert canvas.locator(".problem").is_hidden()
    canvas.wait_for_selector(".canvas[data-moving=true]")
    canvas.keyboard.press("Control+z")
    assert hand.document(canvas)["controls"] == [thing], "a bend is one step"


def test_border_pace_and_brush_are_set_in_the_panel(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (20, 60), (60, 60))
    canvas.get_by_label("Lock the border").check()
    line, border = hand.document(canvas)["controls"]
    assert border["region"] == {"border": 4}
    assert canvas.locator(".problem").is_hidden()
    assert [row.text_content() for row in canvas.locator(".row .title").all()] == ["Track 1", "Border"]
    canvas.evaluate("id => mofaStudio.store.look({ selected: id })", line["id"])
    length = 0.4 * hand.document(canvas)["picture"]["width"]
    canvas.get_by_label("Pixels per frame").fill("15")
    canvas.keyboard.press("Enter")
    paced = hand.document(canvas)["controls"][0]
    assert paced["end"] == pytest.approx(length / 15, abs=1)
    canvas.get_by_label("Lock the border").uncheck()
    assert [control["kind"] for control in hand.document(canvas)["controls"]] == ["track"]
    canvas.keyboard.press("Escape")
    canvas.click("[data-tool=brush]")
    canvas.get_by_label("Size (px)").fill("64")
    canvas.keyboard.press("Enter")
    assert canvas.evaluate("mofaStudio.store.view.brush") == 64


def test_the_browsers_poses_are_the_pipelines(canvas: Any) -> None:
    from mofa.control.transform import Keyframe, Pose, similarities

    keys = [(0.4, 10.0, -5.0, 30.0, 1.5, "in"), (1.0, 40.0, 8.0, -20.0, 0.7, "out")]
    places = canvas.evaluate(
        """async ([keys, fractions]) => {
          const { mapOf, poseAt, poseFromWords, wordsFromPose } = await mofaStudio.module('canvas/pose.js');
          const made = keys.map(([at, x, y, rotate, scale, ease]) => ({ at, x, y, rotate, scale, ease }));
          const read = (key) => poseFromWords(wordsFromPose(key), { width: 9, height: 9 });
          const again = made.map((key) => ({ ...key, ...read(key) }));
          return fractions.map((fraction) => mapOf(poseAt(again, fraction), [50, 60])(70, 90));
        }""",
        [keys, [0.0, 0.2, 0.4, 0.7, 1.0]],
    )
    frames = [Keyframe(at, Pose((x, y), rotate, scale), ease) for at, x, y, rotate, scale, ease in keys]
    maps = similarities(frames, torch.tensor([0.0, 0.2, 0.4, 0.7, 1.0]), (50.0, 60.0))
    expected = (maps @ torch.tensor([70.0, 90.0, 1.0])).tolist()
    assert places == [pytest.approx(place, abs=1e-3) for place in expected]


def test_wrong_files_are_refused_in_the_readers_language(
    visit: Callable[..., Any], hand: Any, tmp_path: Path
) -> None:
    page = visit(locale="zh-CN")
    wrong = tmp_path / "holiday.jpg"
    wrong.write_text("no picture at all", encoding="utf-8")
    with page.expect_file_chooser() as chooser:
        page.click(".drop")
    chooser.value.set_files(wrong)
    page.wait_for_selector(".welcome .notice:not(:empty)")
    text = page.locator(".welcome .notice").text_content()
    assert "无法读取" in text
    assert "/" not in text


def test_what_is_wrong_stands_beside_what_it_is_about_until_the_next_change(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (40, 60), (55, 55))
    hand.drag(canvas, (20, 30), (30, 25))
    # The first line: it may move nothing that it begins on.
    canvas.evaluate(
        """async () => {
          const { newMask } = await mofaStudio.module('canvas/masks.js');
          const { store } = mofaStudio;
          const { name, canvas } = newMask(store.document.picture);
          const pen = canvas.getContext('2d');
          pen.fillStyle = '#fff';
          pen.fillRect(0.8 * canvas.width, 0.8 * canvas.height, 99, 99);
          store.editControl(store.document.controls[0].id, { region: { mask: name } });
          store.look({ selected: null });
        }"""
    )
    wrong = canvas.locator(".problem:not([hidden])")
    wrong.wait_for()
    line, said = hand.place(canvas, 40, 60), wrong.bounding_box()
    assert said["x"] < line[0] < said["x"] + said["width"]
    assert 0 < line[1] - (said["y"] + said["height"]) < 60
    assert "begins inside what may move" in wrong.text_content()
    canvas.click("#language")
    assert "没有轨迹" in wrong.text_content(), "said anew, not forgotten"
    canvas.click("#language")
    canvas.evaluate("mofaStudio.store.look({ selected: mofaStudio.store.document.controls[0].id })")
    field = canvas.locator(".inspector .notice[data-part=region]")
    field.wait_for()
    assert "begins inside what may move" in field.text_content()
    assert canvas.locator(".problem").is_hidden(), "it is said once"
    canvas.click("[data-chip=around]")
    assert hand.settled(canvas).locator(".notice:not(:empty)").count() == 0


def test_a_setting_that_cannot_be_is_told_below_it(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (40, 60), (55, 55))
    canvas.click("[data-value=diffusion]")
    canvas.click("#language")
    canvas.evaluate("mofaStudio.store.edit({ diffusion: { steps: 20, window: 14, stride: 30 } })")
    canvas.click("#generate")
    wrong = canvas.locator(".notice[data-part='setting.stride']:not(:empty)")
    wrong.wait_for()
    assert wrong.text_content() == "此值最多为 13。"
    assert wrong.is_visible(), "though it is among those that are folded away"
    canvas.evaluate("mofaStudio.store.edit({ diffusion: { steps: 20, window: 14, stride: 7 } })")
    assert canvas.locator(".notice:not(:empty)").count() == 0


def test_the_photo_alone_is_kept(visit: Callable[..., Any], hand: Any, photo: Path) -> None:
    page = visit()
    hand.upload(page, photo)
    page.wait_for_url("**/?scene=*")
    page.reload()
    assert hand.document(page)["picture"]["width"] == 451
    assert page.locator("#undo").is_disabled(), "loading is where the history begins"


def test_undo_outlives_a_reload(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (40, 60), (55, 55))
    canvas.evaluate("mofaStudio.store.look({ selected: null })")
    canvas.keyboard.press("b")
    hand.drag(canvas, (30, 50), (60, 50))
    painted = hand.document(canvas)["region"]
    hand.drag(canvas, (30, 70), (60, 70))
    canvas.keyboard.press("Control+z")
    before = hand.document(canvas)
    canvas.reload()
    assert [one["id"] for one in hand.document(canvas)["controls"]] == [before["controls"][0]["id"]]
    canvas.keyboard.press("Control+Shift+z")
    assert hand.document(canvas)["region"]["mask"] != painted["mask"], "redo, too"
    canvas.keyboard.press("Control+z")
    canvas.keyboard.press("Control+z")
    assert hand.document(canvas)["region"] is None
    canvas.keyboard.press("Control+z")
    assert hand.document(canvas)["controls"] == []
    assert canvas.locator("#undo").is_disabled(), "loading is where the history begins"
    canvas.keyboard.press("Control+Shift+z")
    canvas.keyboard.press("Control+Shift+z")
    assert hand.document(canvas)["region"]["mask"], "what was painted is known by the server's name"
    canvas.evaluate("mofaStudio.player.rest()")
    canvas.wait_for_selector(".regions", state="visible")


def test_ten_seconds_offline_go_by(canvas: Any, hand: Any) -> None:
    canvas.context.set_offline(True)
    hand.drag(canvas, (40, 60), (55, 55))
    canvas.wait_for_selector(".reconnecting:not([hidden])")
    canvas.context.set_offline(False)
    canvas.wait_for_selector(".reconnecting", state="hidden")
    canvas.wait_for_selector(".canvas[data-moving=true]")


def test_a_phone_draws_and_generates_by_touch(visit: Callable[..., Any], hand: Any, photo: Path) -> None:
    page = visit("/", 390, 844, has_touch=True)
    hand.upload(page, photo)
    page.evaluate(
        """() => {
          const canvas = document.getElementById('canvas');
          const photo = document.querySelector('.photo').getBoundingClientRect();
          canvas.setPointerCapture = () => {};
          const finger = (type, x, y) => canvas.dispatchEvent(new PointerEvent(type, {
            pointerId: 1, pointerType: 'touch', bubbles: true, button: 0,
            clientX: photo.left + x * photo.width, clientY: photo.top + y * photo.height }));
          finger('pointerdown', 0.4, 0.6);
          for (let k = 1; k <= 8; k += 1) finger('pointermove', 0.4 + 0.02 * k, 0.6 - 0.01 * k);
          finger('pointerup', 0.56, 0.52);
        }"""
    )
    assert len(hand.document(page)["controls"]) == 1
    small = hand.settled(page).evaluate(
        """() => [...document.querySelectorAll('button, select, input[type=number], a.button')]
          .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.closest('dialog'))
          .map((one) => [one.getBoundingClientRect(), one.id || one.className || one.textContent])
          .filter(([box]) => Math.min(box.width, box.height) < 43.5 && box.width > 0)
          .map(([box, name]) => `${name} ${Math.round(box.width)}x${Math.round(box.height)}`)"""
    )
    assert small == [], "a finger needs 44 pixels"
    grips = page.evaluate(
        """() => [...document.querySelectorAll('.grip')].map((one) => one.getBoundingClientRect())
          .flatMap(({ width, height }) => [width, height])"""
    )
    assert len(grips) == 4
    assert min(grips) >= 43.5
    assert page.locator(".chips").evaluate("(one) => getComputedStyle(one).opacity") == "1", (
        "no hover, no fading"
    )
    assert page.evaluate("document.getElementById('studio').scrollWidth") <= 390
    video = clip(page)
    hand.settled(page)
    assert video.bounding_box()["width"] > 360


def test_a_phones_rows_are_named_hidden_and_shown_alone_by_touch(
    visit: Callable[..., Any], hand: Any, photo: Path
) -> None:
    page = visit("/", 390, 844, has_touch=True)
    hand.upload(page, photo)
    for y in (20, 60):
        hand.drag(page, (20, y), (40, y))
    chosen = ".row[data-selected=true] >> "
    page.tap(chosen + "[aria-label^=Name]")
    page.fill("input.rename", "Chin")
    page.keyboard.press("Enter")
    page.tap(chosen + "[aria-label='Only this one: Chin']")
    first, second = hand.document(page)["controls"]
    assert (first["hidden"], second["hidden"], second["name"]) == (True, False, "Chin")
    page.tap(chosen + "[aria-label^=Only]")
    page.tap(chosen + "[aria-label^=Lock]")
    first, second = hand.document(page)["controls"]
    assert (first["hidden"], second["locked"]) == (False, True)


def test_from_an_example_to_a_line_by_keys_alone(visit: Callable[..., Any], hand: Any) -> None:
    page = visit()
    page.focus("[data-example='4-cat']")
    page.keyboard.press("Enter")
    page.wait_for_selector(".photo:not([hidden])")
    before = len(hand.document(page)["controls"])
    for key in ("ArrowUp", "Enter", *6 * ["ArrowRight"], "Enter", "Enter"):
        page.keyboard.press(key)
    assert len(hand.document(page)["controls"]) == before + 1


def test_keys_go_on_where_a_clip_is_made_and_seen(canvas: Any, hand: Any) -> None:
    focused = "document.activeElement.id || document.activeElement.className"
    hand.drag(canvas, (40, 60), (55, 55))
    smaller(canvas)
    with hand.unheard(canvas):
        canvas.focus("#generate")
        canvas.keyboard.press("Enter")
        canvas.wait_for_selector("#cancel")
        assert canvas.evaluate(focused) == "cancel"
        canvas.keyboard.press("Enter")
        canvas.wait_for_selector("#generate")
        assert canvas.evaluate(focused) == "generate"
    canvas.focus("#canvas")
    canvas.keyboard.press("Control+Enter")
    canvas.wait_for_selector(".results video")
    assert canvas.evaluate(focused) == "results"
    canvas.keyboard.press("Escape")
    canvas.wait_for_selector(".results", state="hidden")
    assert canvas.evaluate(focused) == "canvas"


def test_what_is_painted_sways(canvas: Any, hand: Any) -> None:
    canvas.keyboard.press("b")
    hand.drag(canvas, (30, 20), (60, 20))
    painted = hand.document(canvas)["region"]
    canvas.keyboard.press("w")
    canvas.mouse.click(*hand.place(canvas, 45, 20))
    [sway] = hand.document(canvas)["controls"]
    assert (sway["kind"], sway["region"]) == ("sway", painted)
    canvas.mouse.click(*hand.place(canvas, 45, 75))
    assert len(hand.document(canvas)["controls"]) == 2, "beside the paint a thing is meant"


def test_a_line_of_taps_is_ended_by_a_button(visit: Callable[..., Any], hand: Any, photo: Path) -> None:
    page = visit("/", 390, 844, has_touch=True)
    hand.upload(page, photo)
    for k in range(20):
        page.touchscreen.tap(*hand.place(page, 8 + 4 * k, 30 + 20 * (k % 2)))
    page.tap("[data-chip=done]")
    assert [len(one["points"]) for one in hand.document(page)["controls"]] == [20]


def test_chips_are_out_of_the_way_of_other_tools(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (45, 55), (60, 45))
    assert canvas.locator(".chips").is_visible()
    canvas.keyboard.press("t")
    assert hand.settled(canvas).locator(".chips").is_hidden()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing_serious(canvas: Any, hand: Any, theme: str) -> None:
    if not AXE.exists():
        pytest.skip("needs axe-core: cd tools/javascript && npm ci")
    if theme == "light":
        canvas.click("#theme")
    hand.drag(canvas, (40, 60), (55, 55))
    canvas.keyboard.press("c")
    canvas.click("#canvas", position={"x": 300, "y": 200})

    def serious() -> list[str]:
        found = hand.settled(canvas).evaluate("async () => (await axe.run('#studio')).violations")
        return [
            json.dumps([one["id"], [node["html"][:160] for node in one["nodes"]]])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]

    canvas.add_script_tag(path=str(AXE))
    assert serious() == []
    canvas.keyboard.press("?")
    assert serious() == []
    canvas.keyboard.press("Escape")
    clip(canvas)
    assert serious() == []
