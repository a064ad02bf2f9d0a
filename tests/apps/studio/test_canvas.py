"""The canvas in a browser: drawing, changing, undoing; and the preview that follows."""

from typing import Any

import pytest

pytestmark = pytest.mark.browser


def test_a_drag_makes_a_smooth_track_of_few_points(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (40, 60), (50, 40), (60, 35), (70, 40))
    [track] = hand.document(canvas)["controls"]
    picture = hand.document(canvas)["picture"]
    assert 3 <= len(track["points"]) <= 12
    assert track["points"][0][0] == pytest.approx(0.4 * picture["width"], abs=2)
    assert track["points"][-1][1] == pytest.approx(0.4 * picture["height"], abs=2)


def test_clicks_make_a_track_too_and_enter_ends_it(canvas: Any, hand: Any) -> None:
    for point in ((30, 30), (40, 50), (60, 50)):
        canvas.mouse.click(*hand.place(canvas, *point))
    canvas.keyboard.press("Enter")
    [track] = hand.document(canvas)["controls"]
    assert len(track["points"]) == 3


def test_anchor_with_one_click(canvas: Any, hand: Any) -> None:
    canvas.click("[data-tool=anchor]")
    canvas.mouse.click(*hand.place(canvas, 50, 50))
    [anchor] = hand.document(canvas)["controls"]
    assert len(anchor["points"]) == 1


def test_everything_can_be_undone_and_done_again(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (40, 60), (60, 60))
    hand.drag(canvas, (40, 40), (60, 40))
    canvas.keyboard.press("Control+z")
    assert len(hand.document(canvas)["controls"]) == 1
    canvas.keyboard.press("Control+z")
    assert len(hand.document(canvas)["controls"]) == 0
    canvas.keyboard.press("Control+Shift+z")
    canvas.keyboard.press("Control+Shift+z")
    assert len(hand.document(canvas)["controls"]) == 2


def test_points_move_come_and_go(canvas: Any, hand: Any) -> None:
    for point in ((30, 50), (50, 50), (70, 50)):
        canvas.mouse.click(*hand.place(canvas, *point))
    canvas.keyboard.press("Enter")
    hand.drag(canvas, (50, 50), (50, 70))
    [track] = hand.document(canvas)["controls"]
    assert track["points"][1][1] == pytest.approx(0.7 * hand.document(canvas)["picture"]["height"], abs=2)
    canvas.keyboard.press("v")
    canvas.mouse.dblclick(*hand.place(canvas, 70, 50))
    canvas.keyboard.press("Delete")
    assert len(hand.document(canvas)["controls"][0]["points"]) < 5
    canvas.keyboard.press("Escape")
    canvas.mouse.click(*hand.place(canvas, 50, 70))
    canvas.keyboard.press("Delete")
    canvas.keyboard.press("Delete")
    assert hand.document(canvas)["controls"] == []


def test_a_preview_follows_by_itself(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (40, 60), (55, 55))
    canvas.wait_for_selector(".preview[data-seconds]", timeout=20_000)
    canvas.wait_for_function("document.querySelector('.preview video').readyState === 4")
    canvas.click(".preview [data-value=flow]")
    assert canvas.evaluate("document.querySelector('.preview img').naturalWidth") == 320
