"""Making clips in a browser, taking them home, and several visitors at once."""

import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mofa.media.decode import read_video

pytestmark = pytest.mark.browser

IS_MADE = "parseInt(document.querySelector('.bar-fill')?.style.width) > 2"
FACTS = """(({ videoWidth, videoHeight, duration }) => [videoWidth, videoHeight, duration])
(document.querySelector('.results video'))"""


def generate(page: Any) -> None:
    page.click("#generate")
    page.wait_for_selector(".results video")


def smaller(page: Any, frames: int = 8, side: int = 160) -> None:
    """A clip that is soon made."""
    page.evaluate(f"mofaStudio.store.edit({{ frames: {frames}, size: [{side}, {2 * side // 3}] }})")


def downloaded(page: Any, form: str) -> Path:
    with page.expect_download() as download:
        page.click(f"[data-form={form}]")
    return Path(download.value.path())


def test_a_clip_is_made_plays_and_goes_home_in_every_form(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (40, 60), (55, 55))
    smaller(canvas, frames=10)
    generate(canvas)
    canvas.wait_for_function("document.querySelector('.results video').readyState === 4")
    assert canvas.evaluate(FACTS) == [160, 106, pytest.approx(10 / 12, abs=0.05)]
    mp4 = downloaded(canvas, "mp4").rename(downloaded(canvas, "mp4").with_suffix(".mp4"))
    assert read_video(mp4).frames.shape == (10, 3, 106, 160)
    assert downloaded(canvas, "gif").read_bytes().startswith(b"GIF8")
    with zipfile.ZipFile(downloaded(canvas, "frames")) as frames:
        assert len(frames.namelist()) == 10
    with zipfile.ZipFile(downloaded(canvas, "scene")) as scene:
        assert "scene.yaml" in scene.namelist()
    for picture in ("flow", "overlay"):
        canvas.click(f".results [data-value={picture}]")
        canvas.wait_for_function("document.querySelector('.result-stage img').naturalWidth === 160")


def test_settings_come_back_and_two_clips_are_compared(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (40, 60), (55, 55))
    smaller(canvas)
    before = hand.document(canvas)
    generate(canvas)
    canvas.click(".results .text >> nth=0")
    canvas.click("[data-ease=out]")
    generate(canvas)
    canvas.click(".entry [aria-pressed]")
    assert canvas.locator(".result-stage video").count() == 2
    canvas.wait_for_function("document.querySelector('.differences').textContent.includes('easing')")
    for one in canvas.locator(".result-stage figure").all():
        clip, name = one.locator("video").bounding_box(), one.locator("figcaption").bounding_box()
        assert 0 <= name["y"] - clip["y"] - clip["height"] < 20, "its name is close below a clip"
    canvas.click(".entry .thumbnail >> nth=1")
    canvas.click(".results .again")
    canvas.wait_for_function("mofaStudio.store.document.controls[0].ease === 'linear'")
    after = hand.document(canvas)
    assert after["frames"] == before["frames"]
    assert after["size"] == before["size"]
    assert after["controls"][0]["points"] == before["controls"][0]["points"]


def test_a_scene_is_saved_and_opened_again_and_a_reload_loses_nothing(
    canvas: Any, hand: Any, visit: Callable[..., Any], tmp_path: Path
) -> None:
    canvas.keyboard.press("b")
    hand.drag(canvas, (35, 60), (55, 60))
    canvas.keyboard.press("d")
    hand.drag(canvas, (40, 60), (55, 55))
    canvas.keyboard.press("c")
    hand.drag(canvas, (50, 30), (55, 30))
    drawn = hand.document(canvas)

    def same(document: dict[str, Any]) -> bool:
        keys = ("frames", "fps", "size", "renderer")
        assert [control["kind"] for control in document["controls"]] == ["track", "camera"]
        assert document["controls"][0]["points"] == drawn["controls"][0]["points"]
        assert document["controls"][1]["move"] == {
            key: pytest.approx(value, abs=1e-3) for key, value in drawn["controls"][1]["move"].items()
        }
        return [document[key] for key in keys] == [drawn[key] for key in keys] and bool(
            document["region"]["mask"]
        )

    canvas.reload()
    assert same(hand.document(canvas))
    with canvas.expect_download() as download:
        canvas.click("#save")
    packed = tmp_path / "scene.zip"
    download.value.save_as(packed)
    other = visit()
    hand.upload(other, packed, "#open")
    other.wait_for_function("mofaStudio.store.document.controls.length === 2")
    assert same(hand.document(other))


def test_cancel_really_stops(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (40, 60), (55, 55))
    canvas.evaluate("mofaStudio.store.edit({ frames: 1500, size: [450, 300] })")
    with canvas.expect_request("**/studio/renders/*") as begun:
        canvas.click("#generate")
    canvas.wait_for_function("parseInt(document.querySelector('.bar-fill').style.width) > 16")
    canvas.click("#cancel")
    canvas.wait_for_selector("#generate:visible")
    assert canvas.locator(".results").is_hidden()
    smaller(canvas)
    generate(canvas)
    job = canvas.request.get(begun.value.url.replace("renders", "jobs")).json()
    assert job["state"] == "cancelled", "the next clip was not made after it but in its place"


def test_a_wrong_upload_is_explained_in_a_sentence(canvas: Any, hand: Any, tmp_path: Path) -> None:
    wrong = tmp_path / "holiday.jpg"
    wrong.write_text("no picture at all", encoding="utf-8")
    before = hand.document(canvas)
    hand.upload(canvas, wrong, "#photo")
    canvas.wait_for_selector(".problem:not([hidden])")
    assert "cannot be read" in canvas.locator(".problem").text_content()
    assert hand.document(canvas) == before


def test_two_visitors_do_not_see_each_other(visit: Callable[..., Any], hand: Any, photo: Path) -> None:
    ann, bob = visit(), visit()
    for page in (ann, bob):
        hand.upload(page, photo)
        hand.drag(page, (40, 60), (55, 55))
        smaller(page)
    ann.click("#generate")
    generate(bob)
    ann.wait_for_selector(".results video")
    for page in (ann, bob):
        assert page.locator(".entry").count() == 1
    address = ann.locator(".results video").get_attribute("src")
    assert ann.request.get(f"{ann.url.partition('?')[0]}{address}").ok
    assert bob.request.get(f"{bob.url.partition('?')[0]}{address}").status == 404
    ann.click(".share summary")
    ann.wait_for_selector(".share input")
    scene, clip = (field.input_value() for field in ann.locator(".share input").all())
    assert bob.request.get(clip).headers["content-type"] == "video/mp4"
    bob.goto(scene)
    [line] = hand.document(bob)["controls"]
    assert line["points"] == hand.document(ann)["controls"][0]["points"]
    assert hand.document(bob)["picture"]["width"] == 451
    ann.locator(".entry-tools button").last.dispatch_event("click")
    assert bob.request.get(hand.settled(ann) and clip).status == 404, (
        "a clip that is thrown away is gone for all"
    )


def test_a_renderer_shows_its_own_settings_and_the_weights_it_lacks(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (40, 60), (55, 55))
    assert canvas.locator(".diffusion").is_hidden()
    canvas.click("[data-value=diffusion]")
    canvas.wait_for_selector(".weights:not([hidden])")
    assert "GB" in canvas.locator(".weights").text_content()
    steps = canvas.locator(".diffusion label[title^='Denoising steps']")
    assert steps.locator(".label").text_content() == "Steps"
    canvas.click("[data-value=draft]")
    assert steps.locator("input").input_value() == "10"
    canvas.click(".weights .secondary")
    canvas.wait_for_function("document.querySelector('.weights .notice').textContent.length > 20")
    canvas.click("#generate")
    canvas.wait_for_selector(".notice[data-part=weights]:not(:empty)")
    message = canvas.locator(".notice[data-part=weights]").text_content()
    assert "model weights are missing on this machine: download them" in message


def test_a_job_outlives_a_reload(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (40, 60), (55, 55))
    smaller(canvas)
    with hand.unheard(canvas):
        canvas.click("#generate")
        canvas.wait_for_function(IS_MADE)
        canvas.reload()
        canvas.wait_for_function(IS_MADE)
        assert canvas.locator("#cancel").is_visible()
    canvas.wait_for_selector(".results video")
    assert canvas.locator(".entry").count() == 1


def test_the_result_is_a_step_in_the_browsers_history(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (40, 60), (55, 55))
    smaller(canvas)
    generate(canvas)
    canvas.keyboard.press("Delete")
    assert len(hand.document(canvas)["controls"]) == 1, "the canvas hears no keys behind the clip"
    canvas.go_back()
    canvas.wait_for_selector(".results", state="hidden")
    canvas.click("#clips")
    canvas.wait_for_selector(".results video")
    canvas.keyboard.press("Escape")
    canvas.wait_for_selector(".results", state="hidden")
    assert len(hand.document(canvas)["controls"]) == 1


def test_clips_get_names_and_are_thrown_away(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (40, 60), (55, 55))
    smaller(canvas)
    generate(canvas)
    canvas.fill(".clip-title", "Paw up")
    canvas.keyboard.press("Enter")
    canvas.wait_for_function("document.querySelector('.entry span').textContent === 'Paw up'")
    hand.settled(canvas).reload()
    canvas.wait_for_selector(".results video")
    assert canvas.locator(".clip-title").input_value() == "Paw up"
    canvas.locator(".entry-tools button").last.dispatch_event("click")
    canvas.wait_for_selector(".results", state="hidden")
    hand.settled(canvas).reload()
    assert hand.settled(canvas).locator("#clips").is_hidden()


def test_a_killed_server_and_ten_seconds_offline_lose_nothing(
    tmp_path: Path, visit: Callable[..., Any], hand: Any, photo: Path, studio_of_its_own: Any
) -> None:
    with ExitStack() as server:
        address, port = server.enter_context(studio_of_its_own(tmp_path))
        page = visit(address=address)
        hand.upload(page, photo)
        hand.drag(page, (40, 60), (55, 55))
        smaller(page)
        hand.settled(page)
        with hand.unheard(page):
            page.click("#generate")
            page.wait_for_function(IS_MADE)
            server.close()
    page.wait_for_selector(".reconnecting:not([hidden])")
    page.evaluate("mofaStudio.store.edit({ fps: 10 })")
    with studio_of_its_own(tmp_path, port):
        page.wait_for_selector(".results video")
        page.wait_for_selector(".reconnecting", state="hidden")
        hand.settled(page).reload()
        assert hand.document(page)["fps"] == 10
        assert len(hand.document(page)["controls"]) == 1


def test_changing_the_language_changes_words_only(canvas: Any, hand: Any) -> None:
    hand.drag(canvas, (40, 60), (55, 55))
    canvas.click("[aria-label='Zoom in (+)']")
    smaller(canvas)
    width = hand.settled(canvas).locator(".photo").bounding_box()["width"]
    with hand.unheard(canvas):
        canvas.click("#generate")
        canvas.wait_for_function(IS_MADE)
        canvas.click("#language")
        assert canvas.locator("#cancel").text_content() == "取消"
        assert hand.settled(canvas).locator(".photo").bounding_box()["width"] == width
        canvas.click("#cancel")
        canvas.wait_for_selector("#generate:visible")


def test_what_is_denoised_is_shown_while_it_is_made(canvas: Any, hand: Any, photo: Path) -> None:
    hand.drag(canvas, (40, 60), (55, 55))
    smaller(canvas)
    asked: list[str] = []

    def shown(route: Any) -> None:
        asked.append(route.request.url)
        route.fulfill(body=photo.read_bytes(), content_type="image/jpeg")

    with hand.unheard(canvas, shown=2):
        canvas.route("**/studio/jobs/*/preview?2", shown)
        canvas.click("#generate")
        canvas.wait_for_function("document.querySelector('.glimpse').naturalWidth > 0")
        assert canvas.locator(".glimpse").is_visible()
        assert len(asked) == 1, "it is fetched once, however often the page asks how far the job is"
        canvas.click("#cancel")
        canvas.wait_for_selector(".glimpse", state="hidden")
