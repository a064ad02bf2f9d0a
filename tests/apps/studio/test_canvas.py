"""The canvas in a browser: drawing, changing, undoing, painting; and the preview that follows."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mofa.apps.studio.scenes import PREVIEW_SIDE
from mofa.control.timing import eased, parse_ease
from mofa.control.tracks import curve

pytestmark = pytest.mark.browser

DRAWN_ANEW = """async () => {
  const { newControl } = await mofaStudio.module('state/scene.js');
  const { store } = mofaStudio;
  const place = (row, k) => [20 + 50 * k, 12 * row + 20 * Math.sin(k + row) + 30];
  const points = (row) => Array.from({ length: 8 }, (_, k) => place(row, k));
  const controls = Array.from({ length: 20 }, (_, row) => newControl(store.document, {
    kind: 'track', points: points(row),
  }));
  store.edit({ controls });
  const canvas = document.getElementById('canvas');
  const { left, top } = canvas.getBoundingClientRect();
  canvas.setPointerCapture = () => {};
  const hand = (type, x, y) => canvas.dispatchEvent(
    new PointerEvent(type, { pointerId: 1, clientX: left + x, clientY: top + y, bubbles: true }));
  const frame = () => new Promise(requestAnimationFrame);
  hand('pointerdown', 100, 450);
  for (let k = 0; k < 3; k += 1) await frame();
  const strokes = {};
  const { stroke } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.stroke = function (...path) {
    strokes[this.canvas.className] = (strokes[this.canvas.className] ?? 0) + 1;
    return stroke.apply(this, path);
  };
  for (let k = 0; k < 20; k += 1) {
    hand('pointermove', 100 + 5 * k, 450 - 80 * Math.sin(k / 9));
    await frame();
  }
  CanvasRenderingContext2D.prototype.stroke = stroke;
  hand('pointerup', 200, 400);
  return strokes;
}"""


def track(page: Any, hand: Any, *points: tuple[float, float]) -> None:
    """Clicks a track."""
    page.click("[data-tool=draw]")
    for point in points:
        page.mouse.click(*hand.place(page, *point))
    page.keyboard.press("Enter")


def test_a_drag_makes_a_smooth_track_of_few_points(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (40, 60), (50, 40), (60, 35), (70, 40))
    [drawn] = hand.document(canvas)["controls"]
    picture = hand.document(canvas)["picture"]
    assert 3 <= len(drawn["points"]) <= 12
    assert drawn["points"][0][0] == pytest.approx(0.4 * picture["width"], abs=2)
    assert drawn["points"][-1][1] == pytest.approx(0.4 * picture["height"], abs=2)


def test_clicks_make_tracks_and_anchors_and_all_of_it_can_be_undone(canvas: Any, hand: Any) -> None:
    track(canvas, hand, (30, 30), (40, 50), (60, 50))
    canvas.keyboard.press("a")
    canvas.mouse.click(*hand.place(canvas, 80, 80))
    assert [len(control["points"]) for control in hand.document(canvas)["controls"]] == [3, 1]
    canvas.keyboard.press("Control+d")
    canvas.keyboard.press("Alt+ArrowUp")
    assert [len(control["points"]) for control in hand.document(canvas)["controls"]] == [3, 1, 1]
    looks = "mofaStudio.store.document.controls.map(({ region, ...rest }) => rest)"
    done, picture = canvas.evaluate(looks), hand.document(canvas)["picture"]
    for _ in range(4):
        canvas.keyboard.press("Control+z")
    assert hand.document(canvas)["controls"] == []
    assert hand.document(canvas)["picture"] == picture
    for _ in range(4):
        canvas.keyboard.press("Control+Shift+z")
    assert canvas.evaluate(looks) == done


def test_points_move_come_and_go(canvas: Any, hand: Any) -> None:
    track(canvas, hand, (30, 50), (50, 50), (70, 50))
    hand.drag(canvas, (50, 50), (50, 70))
    [drawn] = hand.document(canvas)["controls"]
    assert drawn["points"][1][1] == pytest.approx(0.7 * hand.document(canvas)["picture"]["height"], abs=2)
    canvas.keyboard.press("Control+z")
    canvas.keyboard.press("v")
    canvas.mouse.dblclick(*hand.place(canvas, 40, 50))
    assert len(hand.document(canvas)["controls"][0]["points"]) == 4
    canvas.keyboard.press("Delete")
    assert len(hand.document(canvas)["controls"][0]["points"]) == 3
    canvas.keyboard.press("Escape")
    hand.drag(canvas, (60, 50), (60, 60))
    assert all(
        y > 0.55 * hand.document(canvas)["picture"]["height"]
        for _, y in hand.document(canvas)["controls"][0]["points"]
    )
    canvas.keyboard.press("Delete")
    assert hand.document(canvas)["controls"] == []


def test_a_track_can_be_drawn_and_moved_by_keys_alone(canvas: Any, hand: Any) -> None:
    canvas.focus("#canvas")
    canvas.keyboard.press("d")
    canvas.keyboard.press("Enter")
    for key in ("ArrowRight", "Enter", "ArrowRight", "ArrowDown", "Enter", "Enter"):
        canvas.keyboard.press(key)
    [drawn] = hand.document(canvas)["controls"]
    assert len(drawn["points"]) == 2
    canvas.keyboard.press("v")
    canvas.keyboard.press("Shift+ArrowDown")
    [moved] = hand.document(canvas)["controls"]
    scale = canvas.locator(".photo").bounding_box()["width"] / hand.document(canvas)["picture"]["width"]
    assert moved["points"][0][1] - drawn["points"][0][1] == pytest.approx(10 / scale)


def test_easing_start_and_return_are_set_by_hand(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (40, 60), (60, 60))
    canvas.click(".inspector [data-ease=in]")
    canvas.locator(".inspector .switch input").check()
    hand.settled(canvas).wait_for_selector(".grip.start")
    grip = canvas.locator(".grip.start").bounding_box()
    lane = canvas.locator(".lane").bounding_box()
    canvas.mouse.move(grip["x"] + 4, grip["y"] + 8)
    canvas.mouse.down()
    canvas.mouse.move(grip["x"] + 4 + lane["width"] / 2, grip["y"] + 8, steps=4)
    canvas.mouse.up()
    [drawn] = hand.document(canvas)["controls"]
    assert (drawn["ease"], drawn["thereAndBack"], drawn["start"]) == ("in", True, 12)
    handle = canvas.locator(".ease-box circle")
    handle.focus()
    handle.press("ArrowUp")
    [bent] = hand.document(canvas)["controls"]
    assert bent["ease"] == [[pytest.approx(0.5), pytest.approx(0.3)], [1, 1]]


def test_brush_eraser_and_pick_say_where_things_may_move(canvas: Any, hand: Any) -> None:
    canvas.keyboard.press("b")
    hand.drag(canvas, (40, 40), (60, 40))
    painted = hand.document(canvas)["region"]
    assert painted["mask"]
    canvas.keyboard.press("e")
    hand.drag(canvas, (35, 40), (65, 40))
    assert hand.document(canvas)["region"] is None
    canvas.keyboard.press("Control+z")
    assert hand.document(canvas)["region"] == painted
    canvas.click("[data-tool=draw]")
    hand.drag(canvas, (45, 40), (55, 45))
    canvas.keyboard.press("r")
    canvas.mouse.click(*hand.place(canvas, 45, 40))
    [drawn] = hand.document(canvas)["controls"]
    assert re.fullmatch(r"\d+,\d+", drawn["region"]["select"])
    canvas.wait_for_selector(".preview[data-seconds]")
    assert hand.settled(canvas).locator(".problem").is_hidden()


def test_the_camera_is_framed_by_hand(canvas: Any, hand: Any) -> None:
    canvas.keyboard.press("c")
    hand.drag(canvas, (50, 60), (60, 60))
    [camera] = hand.document(canvas)["controls"]
    picture = hand.document(canvas)["picture"]
    assert camera["move"]["panX"] == pytest.approx(0.1 * picture["width"], abs=3)
    assert camera["move"]["zoom"] == 1
    hand.drag(canvas, (110, 100), (97, 87))
    [camera] = hand.document(canvas)["controls"]
    assert camera["move"]["zoom"] > 1.1


def test_a_preview_follows_by_itself(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (40, 60), (55, 55))
    assert canvas.evaluate("mofaStudio.player.playing")
    canvas.wait_for_selector(".preview[data-seconds]")
    canvas.wait_for_selector(".canvas[data-moving=true] .moving:not([hidden])")
    canvas.click(".preview [data-value=flow]")
    canvas.wait_for_function(
        "width => document.querySelector('.flow').naturalWidth === width", arg=PREVIEW_SIDE
    )
    assert "scene=" in canvas.url


def test_the_photo_moves_while_the_hand_drags(canvas: Any, hand: Any) -> None:
    look = "document.querySelector('.moving').toDataURL()"
    canvas.mouse.move(*hand.place(canvas, 45, 55))
    canvas.mouse.down()
    canvas.mouse.move(*hand.place(canvas, 50, 50), steps=3)
    canvas.wait_for_selector(".canvas[data-moving=guess] .moving:not([hidden])")
    near = canvas.evaluate(look)
    canvas.mouse.move(*hand.place(canvas, 60, 45), steps=3)
    canvas.wait_for_function(f"near => {look} !== near", arg=near)
    canvas.mouse.up()
    canvas.wait_for_function("mofaStudio.store.document.controls[0].region?.select")
    hand.settled(canvas).keyboard.press("Control+z")
    assert hand.document(canvas)["controls"] == [], "the line and its thing are one step"


def test_escape_drops_the_stroke_that_is_being_drawn(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (20, 20), (30, 30))
    before = hand.document(canvas)
    for start in ((60, 40), (30, 30)):
        canvas.mouse.move(*hand.place(canvas, *start))
        canvas.mouse.down()
        canvas.mouse.move(*hand.place(canvas, 70, 60), steps=3)
        canvas.keyboard.press("Escape")
        canvas.mouse.up()
        assert hand.document(canvas)["controls"][0]["points"] == before["controls"][0]["points"]
        assert len(hand.document(canvas)["controls"]) == 1


def test_alt_draws_where_a_point_would_be_grabbed(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (40, 60), (55, 55))
    canvas.keyboard.down("Alt")
    hand.drag(canvas, (55, 55), (70, 70))
    canvas.keyboard.up("Alt")
    assert len(hand.document(canvas)["controls"]) == 2


def test_deleting_points_never_deletes_the_line(canvas: Any, hand: Any) -> None:
    track(canvas, hand, (30, 30), (40, 50), (60, 50), (70, 60))
    canvas.mouse.click(*hand.place(canvas, 40, 50))
    for _ in range(5):
        canvas.keyboard.press("Delete")
    assert len(hand.document(canvas)["controls"][0]["points"]) == 2
    canvas.keyboard.press("Control+z")
    canvas.mouse.click(*hand.place(canvas, 60, 50), button="right")
    assert len(hand.document(canvas)["controls"][0]["points"]) == 2


def test_the_space_bar_plays_and_the_timelines_head_is_the_pictures(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (40, 60), (55, 55))
    canvas.mouse.move(*hand.place(canvas, 90, 90), steps=4)
    canvas.wait_for_function("!mofaStudio.player.playing && mofaStudio.player.frame === 0")
    # A hand over the photo finds it as it is.
    canvas.wait_for_selector(".moving", state="hidden")
    canvas.keyboard.press(" ")
    canvas.wait_for_function("mofaStudio.player.frame > 2")
    canvas.keyboard.press(" ")
    canvas.wait_for_selector(".moving", state="visible")
    frame = canvas.evaluate("mofaStudio.player.frame")
    head = canvas.evaluate("Number(document.querySelector('.playhead').style.getPropertyValue('--at'))")
    assert head == pytest.approx(frame / 24)


def test_without_webgl_the_true_preview_is_shown(visit: Callable[..., Any], hand: Any, photo: Any) -> None:
    page = visit()
    page.evaluate(
        """() => {
          const { getContext } = HTMLCanvasElement.prototype;
          HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
            return kind.startsWith('webgl') ? null : getContext.call(this, kind, ...rest);
          };
        }"""
    )
    hand.upload(page, photo)
    hand.drag(page, (40, 60), (55, 55))
    page.wait_for_selector(".canvas[data-moving=true] .moving:not([hidden])")


def test_curves_and_easings_are_the_pipelines(canvas: Any) -> None:
    fractions = np.linspace(0, 1, 33).tolist()
    clicks = [[10.0, 20.0], [40.0, 20.0], [35.0, 60.0], [90.0, 50.0], [90.0, 10.0]]
    eases = ["linear", "in", "out", "in-out", [[0.3, 0.8], [1, 1]], [[0.2, 0.1], [0.5, 0.9], [0.9, 1]]]
    drawn, sped = canvas.evaluate(
        """async ([clicks, eases, fractions]) => {
          const { curveThrough, eased } = await mofaStudio.module('canvas/curve.js');
          return [
            [2, 3, 5].map((count) => fractions.map(curveThrough(clicks.slice(0, count)))),
            eases.map((ease) => fractions.map((time) => eased(ease, time))),
          ];
        }""",
        [clicks, eases, fractions],
    )
    times = torch.tensor(fractions, dtype=torch.float64)
    for count, path in zip((2, 3, 5), drawn, strict=True):
        expected = curve(torch.tensor(clicks[:count], dtype=torch.float64), times)
        torch.testing.assert_close(torch.tensor(path, dtype=torch.float64), expected, atol=1e-4, rtol=0)
    for ease, speeds in zip(eases, sped, strict=True):
        named = ease if isinstance(ease, str) else " ".join(f"{a},{b}" for a, b in ease)
        expected = eased(parse_ease(named), times)
        torch.testing.assert_close(torch.tensor(speeds, dtype=torch.float64), expected, atol=1e-5, rtol=0)


def test_the_cameras_frame_is_the_pipelines(canvas: Any) -> None:
    from mofa.control.camera import camera_matrices
    from mofa.control.camera_words import format_camera, parse_camera
    from mofa.tensors.flow import apply_affine, invert_affine

    words = format_camera(parse_camera("pan right 12%, pan up 20 px, zoom 1.3, rotate left 15"))
    corners = canvas.evaluate(
        """async (words) => {
          const { moveFromWords, viewAt } = await mofaStudio.module('canvas/camera.js');
          const picture = { width: 300, height: 200 };
          return viewAt(moveFromWords(words, picture), 1, picture).corners;
        }""",
        words,
    )
    matrix = camera_matrices(parse_camera(words), torch.tensor([0.0, 1.0]), 300, 200)
    frame = torch.tensor([[-0.5, -0.5], [299.5, -0.5], [299.5, 199.5], [-0.5, 199.5]]).T[None, :, None]
    expected = apply_affine(invert_affine(matrix), frame)[0, :, 0].T
    torch.testing.assert_close(torch.tensor(corners), expected, atol=1e-2, rtol=0)


def test_while_a_line_is_drawn_the_others_are_not_drawn_again(canvas: Any) -> None:
    strokes = canvas.evaluate(DRAWN_ANEW)
    assert strokes["overlay"] > 0
    assert "controls" not in strokes, "twenty lines with every frame are what makes a page stutter"


def test_the_page_works_under_its_own_content_policy(visit: Callable[..., Any]) -> None:
    page = visit("/?scene=1-liftoff", bypass_csp=False)
    page.wait_for_selector(".photo:not([hidden])")


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1024, 768), (390, 844)])
def test_everything_fits_on_the_screen(visit: Callable[..., Any], hand: Any, width: int, height: int) -> None:
    page = visit("/?scene=1-liftoff", width, height)
    hand.settled(page)
    assert page.evaluate("document.getElementById('studio').scrollWidth") <= width
    box = page.locator("#generate").bounding_box()
    assert box["y"] + box["height"] <= height
    photo = page.locator(".photo").bounding_box()
    assert photo["width"] > 0.4 * width


def test_the_page_speaks_chinese(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (40, 60), (60, 60))
    before = hand.document(canvas)
    canvas.click("#language")
    assert canvas.locator("#generate").text_content() == "生成"
    assert json.dumps(hand.document(canvas)) == json.dumps(before)
    canvas.keyboard.press("Control+z")
    assert hand.document(canvas)["controls"] == []


def test_photos_come_by_drop_and_by_paste(visit: Callable[..., Any], hand: Any, photo: Any) -> None:
    page = visit()
    content = list(photo.read_bytes())
    for event in ("drop", "paste"):
        page.evaluate(
            """([content, event]) => {
              const files = new DataTransfer();
              files.items.add(new File([new Uint8Array(content)], 'image.png', { type: 'image/jpeg' }));
              const target = event === 'drop' ? document.getElementById('studio') : document;
              target.dispatchEvent(event === 'drop'
                ? new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true })
                : new ClipboardEvent('paste', { clipboardData: files, bubbles: true }));
            }""",
            [content, event],
        )
        page.wait_for_function("mofaStudio.store.document.picture?.width === 451")
        hand.settled(page).keyboard.press("Control+z")
        assert hand.document(page)["picture"]["width"] == 451, "a photo is where the history begins"
        page.evaluate("mofaStudio.store.load({ ...mofaStudio.store.document, picture: null })")


def test_a_finger_draws_and_two_fingers_zoom(visit: Callable[..., Any], hand: Any) -> None:
    page = visit("/?scene=1-liftoff", 390, 844, has_touch=True)
    hand.settled(page).click("[data-tool=anchor]")
    page.touchscreen.tap(*hand.place(page, 15, 50))
    assert len(hand.document(page)["controls"][-1]["points"]) == 1
    before = page.locator(".photo").bounding_box()["width"]
    page.evaluate(
        """() => {
          const canvas = document.getElementById('canvas');
          const { left, top } = canvas.getBoundingClientRect();
          canvas.setPointerCapture = () => {};
          const finger = (type, pointerId, x) => canvas.dispatchEvent(new PointerEvent(
            type, { pointerId, pointerType: 'touch', clientX: left + x, clientY: top + 100, bubbles: true }));
          finger('pointerdown', 1, 150);
          finger('pointerdown', 2, 200);
          finger('pointermove', 2, 250);
          finger('pointerup', 2, 250);
          finger('pointerup', 1, 150);
        }"""
    )
    page.wait_for_function("width => document.querySelector('.photo').offsetWidth > 1.9 * width", arg=before)
    assert len(hand.document(page)["controls"]) == 2


def test_a_depth_picture_is_chosen_for_a_camera_kept_and_taken_away(
    canvas: Any, hand: Any, tmp_path: Path
) -> None:
    Image.linear_gradient("L").resize((451, 300)).save(tmp_path / "near.png")
    canvas.click("[data-tool=camera]")
    hand.drag(canvas, (50, 50), (60, 50))
    with canvas.expect_file_chooser() as chooser:
        canvas.click("[data-depth=choose]")
    chooser.value.set_files(tmp_path / "near.png")
    canvas.wait_for_selector("[data-depth=remove]:not([hidden])")
    hand.settled(canvas)

    [camera] = hand.document(canvas)["controls"]
    both_ways = """async () => {
      const { fromScene, toScene } = await mofaStudio.module('state/scene.js');
      const { document } = mofaStudio.store;
      const scene = await toScene(document);
      return [scene.controls[0], fromScene(scene, document.picture, {}).controls[0]];
    }"""
    sent, again = canvas.evaluate(both_ways)
    assert sent["depth"] == again["depth"] == camera["depth"]
    assert sent["parallax"] == again["parallax"] == 1
    canvas.click("[data-depth=remove]")
    assert "depth" not in canvas.evaluate(both_ways)[0]


def test_tracks_and_scenes_as_json_are_told_apart(canvas: Any, hand: Any, tmp_path: Path) -> None:
    def opened(name: str, content: str) -> list[dict[str, Any]]:
        (tmp_path / name).write_text(content, encoding="utf-8")
        with canvas.expect_file_chooser() as chooser:
            canvas.click("#open")
        with canvas.expect_response(lambda answer: "/files/" in answer.url):
            chooser.value.set_files(tmp_path / name)
        canvas.wait_for_function("mofaStudio.store.document.controls.length === 1")
        return hand.document(canvas)["controls"]

    [tracks] = opened("walk.json", "[[[20, 20], [60, 40]]]")
    assert tracks["kind"] == "tracks"
    assert tracks["file"].endswith(".json")
    [camera] = opened("scene.json", '{"controls": [{"kind": "camera", "move": "zoom 1.1"}]}')
    assert camera["kind"] == "camera"


WATCHED = """() => {
  window.changed = [];
  const nameOf = ({ target }) => target.closest?.('.center') ? '' : target.className ?? '#text';
  const all = { subtree: true, childList: true, attributes: true, characterData: true };
  new MutationObserver((seen) => window.changed.push(...seen.map(nameOf))).observe(document.body, all);
}"""


def test_while_a_hand_draws_or_paints_the_canvas_alone_is_drawn_anew(canvas: Any, hand: Any) -> None:
    for key in "db":
        canvas.keyboard.press(key)
        canvas.mouse.move(*hand.place(canvas, 30, 50))
        canvas.mouse.down()
        canvas.mouse.move(*hand.place(canvas, 35, 50))
        canvas.evaluate(WATCHED)
        canvas.mouse.move(*hand.place(canvas, 60, 50), steps=6)
        hand.settled(canvas)
        assert set(canvas.evaluate("changed")) <= {""}
        canvas.mouse.up()
        canvas.evaluate("mofaStudio.store.look({ selected: null })")


def test_paint_is_seen_while_it_is_painted(canvas: Any, hand: Any) -> None:
    canvas.keyboard.press("b")
    painted = """() => {
      const { data } = document.querySelector('.regions').getContext('2d').getImageData(0, 0, 451, 300);
      return data.filter((_, k) => k % 4 === 3 && data[k] > 0).length;
    }"""
    canvas.mouse.move(*hand.place(canvas, 30, 50))
    canvas.mouse.down()
    hand.settled(canvas)
    first = canvas.evaluate(painted)
    canvas.mouse.move(*hand.place(canvas, 60, 50), steps=6)
    hand.settled(canvas)
    assert canvas.evaluate(painted) > 2 * first > 0
    canvas.mouse.up()


def test_a_thing_that_moves_is_no_larger_than_it_has_to_be(visit: Callable[..., Any], hand: Any) -> None:
    page = visit()
    page.click("[data-example='1-liftoff']")
    page.wait_for_selector(".photo:not([hidden])")
    hand.settled(page)
    width, height, *box = page.evaluate(
        """async () => {
          const { Pieces } = await mofaStudio.module('canvas/pieces.js');
          const mask = document.createElement('canvas');
          [mask.width, mask.height] = [64, 64];
          const pen = mask.getContext('2d');
          pen.fillRect(16, 32, 8, 16);
          const pieces = new Pieces();
          pieces.open(document.querySelector('.photo'));
          const { canvas, box } = pieces.cut(mask, mofaStudio.store.document.picture);
          return [canvas.width, canvas.height, ...box];
        }"""
    )
    # The photo is 640 x 427: a pixel of the mask is 10 of it across and 6.67 down.
    assert (width, height) == pytest.approx((80, 107), abs=20)
    assert box == pytest.approx([160, 213, 240, 320], abs=12)
