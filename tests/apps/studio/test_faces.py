"""Faces in a browser: found, corrected, and made to speak."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mofa.media.audio import read_audio

pytestmark = pytest.mark.browser

MEDIA = Path(__file__).parents[4] / "shared" / "media"
PORTRAIT, SPEECH = MEDIA / "portrait.jpg", MEDIA / "speech_5s.wav"


def voice(path: Path, seconds: float) -> Path:
    """A sound that is no speech but as loud as one."""
    rate = 16000
    time = np.arange(int(seconds * rate)) / rate
    samples = 0.4 * np.sin(2 * math.pi * 180 * time) * (np.sin(2 * math.pi * 3 * time) > 0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], "s16", "mono")
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def drive(page: Any, source: str, path: Path) -> None:
    page.click("[data-tool=face]")
    with page.expect_file_chooser() as chooser:
        page.click(f"[data-drive={source}]")
    chooser.value.set_files(path)
    page.wait_for_function("mofaStudio.store.document.controls.length > 0")


@pytest.fixture
def portrait(visit: Callable[..., Any], hand: Any) -> Any:
    if not PORTRAIT.exists():
        pytest.skip("needs ../shared/media/portrait.jpg")
    pytest.importorskip("mediapipe", reason="faces are found with mediapipe: pip install 'mofa-video[faces]'")
    page = visit()
    hand.upload(page, PORTRAIT)
    return page


def test_a_portrait_speaks_and_is_heard(portrait: Any, hand: Any, tmp_path: Path) -> None:
    drive(portrait, "speech", SPEECH)
    document = hand.document(portrait)
    assert (document["frames"], document["fps"]) == (126, 25)
    portrait.wait_for_selector(".preview[data-seconds]")
    portrait.evaluate("mofaStudio.store.edit({ frames: 12, size: [128, 128] })")
    portrait.click("#generate")
    portrait.wait_for_selector(".results video")
    portrait.wait_for_function("document.querySelector('.results video').readyState === 4")
    portrait.click(".results [data-value=landmarks]")
    with portrait.expect_download() as download:
        portrait.click("[data-form=mp4]")
    clip = tmp_path / "clip.mp4"
    download.value.save_as(clip)
    heard = read_audio(clip)
    assert heard.samples.shape[1] / heard.rate == pytest.approx(12 / 25, abs=0.05)


def test_a_faces_points_are_dragged_and_kept(portrait: Any, hand: Any, tmp_path: Path) -> None:
    drive(portrait, "speech", voice(tmp_path / "voice.wav", 1.0))
    found = portrait.evaluate(
        "async () => (await (await fetch('studio/faces', { method: 'POST', "
        "headers: { 'Content-Type': 'application/json' }, "
        "body: JSON.stringify({ picture: mofaStudio.store.document.picture.name }) })).json()).faces[0]"
    )
    picture = hand.document(portrait)["picture"]
    chin = [100 * found[8][0] / picture["width"], 100 * found[8][1] / picture["height"]]
    hand.drag(portrait, chin, [chin[0], chin[1] + 4])
    [face] = hand.document(portrait)["controls"]
    moved = np.array(face["points"]) - np.array(found)
    assert moved[8] == pytest.approx([0, 0.04 * picture["height"]], abs=1)
    assert np.abs(np.delete(moved, 8, axis=0)).max() == 0
    portrait.reload()
    [again] = hand.document(portrait)["controls"]
    assert np.allclose(again["points"], face["points"], atol=1e-3)


def test_landmarks_from_a_file_play_over_the_photo(portrait: Any, hand: Any, tmp_path: Path) -> None:
    file = tmp_path / "nod.json"
    rest = [[100 + 10 * (k % 9), 100 + 10 * (k // 9)] for k in range(68)]
    frames = [[[x, y + step] for x, y in rest] for step in (0, 4, 8, 4)]
    file.write_text(json.dumps({"fps": 10, "points": frames}), encoding="utf-8")
    drive(portrait, "landmarks", file)
    document = hand.document(portrait)
    assert (document["frames"], document["fps"]) == (4, 10)
    portrait.wait_for_selector(".row .still")


def test_a_driver_that_cannot_be_read_is_told_in_the_card(portrait: Any, hand: Any, tmp_path: Path) -> None:
    wrong = tmp_path / "speech.wav"
    wrong.write_text("no sound at all", encoding="utf-8")
    portrait.click("[data-tool=face]")
    with portrait.expect_file_chooser() as chooser:
        portrait.click("[data-drive=speech]")
    chooser.value.set_files(wrong)
    portrait.wait_for_selector(".face .notice:not(:empty)")
    assert "cannot be read" in portrait.locator(".face .notice").text_content()
    assert portrait.locator(".problem").is_hidden()


def test_where_there_is_no_face_the_card_says_so(canvas: Any) -> None:
    pytest.importorskip("mediapipe", reason="faces are found with mediapipe: pip install 'mofa-video[faces]'")
    canvas.click("[data-tool=face]")
    canvas.wait_for_function("document.querySelector('.face .note').textContent.includes('No face')")
    assert canvas.locator("[data-drive=speech]").is_hidden()
