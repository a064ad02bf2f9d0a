"""Making clips in a browser."""

from typing import Any

import pytest

pytestmark = pytest.mark.browser


def test_a_clip_is_made_plays_and_can_be_downloaded(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (40, 60), (55, 55))
    canvas.click("#generate")
    canvas.wait_for_selector(".results video", timeout=60_000)
    canvas.wait_for_function("document.querySelector('.results video').readyState === 4")
    facts = canvas.evaluate(
        "(({videoWidth, videoHeight, duration}) => [videoWidth, videoHeight, duration])"
        "(document.querySelector('.results video'))"
    )
    width, height = hand.document(canvas)["size"]
    assert facts == [width, height, pytest.approx(25 / 12, abs=0.05)]
    with canvas.expect_download() as download:
        canvas.click("[data-form=mp4]")
    assert download.value.path().stat().st_size > 1000
