"""A hosted demo: a photo, lines and a camera in, a clip out. A Gradio Space takes this folder as it is."""

import secrets
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from mofa.devices import pick_device
from mofa.errors import MofaError
from mofa.media.encode import write_clip
from mofa.pipeline.animate import animate
from mofa.pipeline.request import AnimationRequest

LONGEST_SIDE, MOST_FRAMES = 768, 75
"""What a shared CPU makes within a minute."""
FOLDER = Path(tempfile.mkdtemp(prefix="mofa-space-"))


def renderers() -> list[str]:
    """What this machine can run."""
    return ["warp"] if pick_device(None).type == "cpu" else ["warp", "diffusion"]


def scene(picture: str, lines: str, camera: str, frames: int, loop: bool, renderer: str) -> AnimationRequest:
    """The request; a track a line. Raises InputError."""
    controls: list[dict[str, Any]] = [
        {"kind": "track", "points": line} for line in lines.splitlines() if line.strip()
    ]
    if camera.strip():
        controls.append({"kind": "camera", "move": camera})
    data = {"picture": picture, "controls": controls, "frames": min(int(frames), MOST_FRAMES), "loop": loop}
    return AnimationRequest.from_data(data | {"renderer": renderer}, "scene")


def make(picture: str | None, lines: str, camera: str, frames: int, loop: bool, renderer: str) -> str:
    """The clip's path. Whatever is wrong is shown to the visitor in one sentence."""
    if picture is None:
        raise gr.Error("Choose a photo first.")
    try:
        request = scene(picture, lines, camera, frames, loop, renderer)
        result = animate(_small(request))
        path = FOLDER / f"{secrets.token_hex(8)}.mp4"
        write_clip(result.clip, path)
    except MofaError as error:
        raise gr.Error(str(error)) from None
    return str(path)


def _small(request: AnimationRequest) -> AnimationRequest:
    from mofa.media.image import picture_size
    from mofa.tensors.geometry import shrunk

    assert request.picture is not None
    size = shrunk(*picture_size(request.picture), LONGEST_SIDE)
    return request.model_copy(update={"size": size})


def build() -> gr.Blocks:
    """The page."""
    with gr.Blocks(title="mofa") as demo:
        gr.Markdown(
            "# mofa\nA photo, where things should go, a clip. A line is `x,y x,y ...`, pixels or percent."
        )
        with gr.Row():
            with gr.Column():
                picture = gr.Image(type="filepath", label="Photo")
                lines = gr.Textbox(
                    "50%,60% 60%,55%", lines=3, label="Lines, one track each; one point holds still"
                )
                camera = gr.Textbox("", label="Camera", placeholder="pan right 40 px, zoom 1.1, rotate 5")
                frames = gr.Slider(8, MOST_FRAMES, 25, step=1, label="Frames")
                loop = gr.Checkbox(False, label="Loop")
                renderer = gr.Radio(renderers(), value="warp", label="Renderer")
                button = gr.Button("Make the clip", variant="primary")
            clip = gr.Video(label="Clip", autoplay=True, loop=True)
        button.click(make, [picture, lines, camera, frames, loop, renderer], clip)
    return demo


if __name__ == "__main__":
    build().queue(max_size=20).launch()
