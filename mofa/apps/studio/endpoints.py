"""The studio as an API: named endpoints for gradio_client and plain HTTP, over the page's own queues."""

import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from mofa.apps.studio import making
from mofa.apps.studio.guard import network_of
from mofa.apps.studio.jobs import FairQueue, Job, Work, sentence
from mofa.apps.studio.routes import Studio
from mofa.apps.studio.scenes import request_from_scene
from mofa.apps.studio.uploads import check_upload, kind_of
from mofa.apps.studio.visitors import Visitor, is_name
from mofa.errors import InputError, MofaError
from mofa.pipeline.request import AnimationRequest


def add_endpoints(studio: Studio) -> None:
    """Adds /animate, /preview and /landmarks to the Blocks that are being built."""

    def animate(
        scene: dict, files: list[gr.FileData], request: gr.Request
    ) -> tuple[gr.FileData, gr.FileData, gr.FileData, gr.FileData]:
        """The clip that a scene describes, its flow, its overlay, and the resolved scene.

        `scene` is what docs/scene.md describes; `files` are all files that it names, under those names.
        """
        wanted, visitor = _received(scene, files, studio, request)
        work = _bounded(studio, wanted, lambda report: studio.workshop.clip(wanted, visitor, report))
        facts = _run(studio.renders, request, work)
        folder, made = visitor.results / facts["name"], facts["files"]
        names = (made["clip"], made["flow"], made["overlay"], making.SCENE)
        clip, flow, overlay, resolved = (gr.FileData(path=str(folder / name)) for name in names)
        return clip, flow, overlay, resolved

    def preview(
        scene: dict, files: list[gr.FileData], request: gr.Request
    ) -> tuple[gr.FileData, gr.FileData]:
        """A small warped clip of the scene, and its flow as colours."""
        wanted, visitor = _received(scene, files, studio, request)
        work = _bounded(
            studio,
            making.small_request(wanted),
            lambda report: making.preview(wanted, visitor.folder, report),
        )
        made = _run(studio.previews, request, work)
        return gr.FileData(path=str(made.clip)), gr.FileData(path=str(made.flow))

    def landmarks(scene: dict, files: list[gr.FileData], request: gr.Request) -> dict:
        """How the driven faces of a scene move: frames, fps, and 68 points (pixels) per face and frame."""
        wanted, _ = _received(scene, files, studio, request)
        work = _bounded(studio, wanted, partial(making.landmarks, wanted, studio.workshop.speak))
        return _run(studio.motions, request, work)

    gr.api(animate, api_name="animate", concurrency_limit=None)
    gr.api(preview, api_name="preview", concurrency_limit=None)
    gr.api(landmarks, api_name="landmarks", concurrency_limit=None)


def _bounded(studio: Studio, wanted: AnimationRequest, work: Work) -> Work:
    try:
        return studio.within_memory(wanted, work)
    except MofaError as error:
        raise gr.Error(sentence(error), print_exception=False) from None


def _received(
    scene: dict, files: list[Any], studio: Studio, request: gr.Request
) -> tuple[AnimationRequest, Visitor]:
    """The request over the files that came with it, in a folder of this call alone."""
    visitor = studio.callers.visitor(_caller(request))
    uploads = Path(os.environ["GRADIO_TEMP_DIR"]).resolve()
    try:
        for sent in files:
            path, name = _uploaded(sent, uploads)
            kind = kind_of(name)
            _run(studio.looks, request, partial(_checked, path, kind))
            with visitor.having(path.stat().st_size):
                shutil.copyfile(path, visitor.room() / name)
        return request_from_scene(scene, visitor), visitor
    except InputError as error:
        raise gr.Error(sentence(error), print_exception=False) from None


def _checked(path: Path, kind: str, _: Job) -> None:
    check_upload(path, kind)


def _uploaded(sent: object, uploads: Path) -> tuple[Path, str]:
    """Where a file that came with a call lies, and the name by which the scene calls it."""
    try:
        file = gr.FileData(**sent)  # type: ignore[arg-type]  # Gradio hands the items of a list over as plain data
    except (TypeError, ValueError):
        raise InputError("a file has to be uploaded: send it with handle_file.", key="file.address") from None
    path, name = Path(file.path).resolve(), Path(file.orig_name or file.path).name
    if not path.is_relative_to(uploads) or not path.is_file():
        raise InputError(f'"{name[:80]}" was not uploaded: send it with handle_file.', key="file.address")
    if not is_name(name):
        raise InputError(
            f'"{name[:80]}" is no name for a file here: use letters, digits and _ . - alone.', key="file.gone"
        )
    return path, name


def _caller(request: gr.Request) -> str:
    return network_of(request.client.host if request.client else "")


def _run(queue: FairQueue, request: gr.Request, work: Work) -> Any:
    """Waits for its turn among all who ask, one caller being one address."""
    owner = f"api {_caller(request)}"
    try:
        return queue.submit(owner, work).future.result()
    except Exception as error:
        raise gr.Error(sentence(error), print_exception=False) from None
