"""The studio as an API: named endpoints for gradio_client and plain HTTP, over the page's own queues."""

import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from mofa.apps.studio import making
from mofa.apps.studio.jobs import FairQueue, Work, sentence
from mofa.apps.studio.routes import Studio
from mofa.apps.studio.scenes import request_from_scene
from mofa.apps.studio.uploads import check_upload, kind_of
from mofa.apps.studio.visitors import Visitor, new_token
from mofa.errors import InputError
from mofa.pipeline.request import AnimationRequest


def add_endpoints(studio: Studio) -> None:
    """Adds /animate, /preview and /landmarks to the Blocks that are being built."""

    def animate(
        scene: dict, files: list[gr.FileData], request: gr.Request
    ) -> tuple[gr.FileData, gr.FileData, gr.FileData, gr.FileData]:
        """The clip that a scene describes, its flow, its overlay, and the resolved scene.

        `scene` is what docs/scene.md describes; `files` are all files that it names, under those names.
        """
        wanted, visitor = _received(scene, files, studio)
        facts = _run(studio.renders, request, lambda report: studio.workshop.clip(wanted, visitor, report))
        folder, made = visitor.results / facts["name"], facts["files"]
        names = (made["clip"], made["flow"], made["overlay"], making.SCENE)
        clip, flow, overlay, resolved = (gr.FileData(path=str(folder / name)) for name in names)
        return clip, flow, overlay, resolved

    def preview(
        scene: dict, files: list[gr.FileData], request: gr.Request
    ) -> tuple[gr.FileData, gr.FileData]:
        """A small warped clip of the scene, and its flow as colours."""
        wanted, visitor = _received(scene, files, studio)
        made = _run(studio.previews, request, lambda report: making.preview(wanted, visitor.folder, report))
        return gr.FileData(path=str(made.clip)), gr.FileData(path=str(made.flow))

    def landmarks(scene: dict, files: list[gr.FileData], request: gr.Request) -> dict:
        """How the driven faces of a scene move: frames, fps, and 68 points (pixels) per face and frame."""
        wanted, _ = _received(scene, files, studio)
        return _run(studio.motions, request, partial(making.landmarks, wanted, studio.workshop.speak))

    gr.api(animate, api_name="animate", concurrency_limit=None)
    gr.api(preview, api_name="preview", concurrency_limit=None)
    gr.api(landmarks, api_name="landmarks", concurrency_limit=None)


def _received(scene: dict, files: list[Any], studio: Studio) -> tuple[AnimationRequest, Visitor]:
    """The request over the files that came with it, in a folder of this call alone."""
    visitor = studio.callers.visitor(new_token())
    uploads = Path(os.environ["GRADIO_TEMP_DIR"]).resolve()
    try:
        for sent in files:
            file = gr.FileData(**sent)  # Gradio hands the items of a list over as plain data
            path, name = Path(file.path).resolve(), Path(file.orig_name or file.path).name
            if not path.is_relative_to(uploads):
                raise InputError(f'"{name}" was not uploaded: send it with handle_file.')
            check_upload(path, kind_of(name))
            with visitor.keeping(path.stat().st_size) as room:
                if room < path.stat().st_size:
                    raise InputError(f'"{name[:80]}" takes more room than is left here: send it later.')
                shutil.copyfile(path, visitor.room() / name)
        return request_from_scene(scene, visitor), visitor
    except InputError as error:
        raise gr.Error(str(error), print_exception=False) from None


def _run(queue: FairQueue, request: gr.Request, work: Work) -> Any:
    """Waits for its turn among all who ask, one caller being one address."""
    owner = f"api {request.client.host if request.client else ''}"
    try:
        return queue.submit(owner, work).future.result()
    except Exception as error:
        raise gr.Error(sentence(error), print_exception=False) from None
