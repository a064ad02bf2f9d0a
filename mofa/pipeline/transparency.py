"""Photos that are partly transparent: what becomes of that in a clip."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.media.colours import colour_of
from mofa.media.forms import carries_alpha
from mofa.media.image import read_alpha, to_bytes
from mofa.pipeline.original import Original
from mofa.pipeline.parts import Render
from mofa.pipeline.request import Outputs
from mofa.renderers.warp.render import WarpSettings, render_warp
from mofa.tensors.alpha import on_ground, straight
from mofa.types import MotionPlan, Note, Progress, SourceImage


def with_transparency(path: Path, photo: Float[Tensor, "3 h w"], outputs: Outputs, note: Note) -> Original:
    """A photo that was read from a file, with its alpha where the clip keeps it, else laid on the ground that
    was asked for, or on white; `note` is told of a loss that nobody asked for."""
    alpha = read_alpha(path)
    if alpha is None or (outputs.background is None and outputs.clip is None):
        return Original(photo)
    if outputs.background is not None:
        return Original(on_ground(photo, alpha, colour_of(outputs.background)))
    assert outputs.clip is not None
    if carries_alpha(outputs.clip):
        return Original(photo, alpha)
    note(
        f"{path.name} is partly transparent, and {outputs.clip.suffix} is not: the photo is laid on white; "
        "give another background, or write .webm, .mov, .webp, .apng or frame-%04d.png."
    )
    return Original(photo)


def cut_out_by_warp(render: Render, loop: bool) -> Render:
    """A renderer whose frames know no alpha, with the alpha that the warp renderer moves."""

    def cut_out(
        source: SourceImage, plan: MotionPlan, progress: Progress, /
    ) -> Iterator[UInt8[Tensor, "C H W"]]:
        frames = render(replace(source, alpha=None), plan, progress)
        if source.alpha is None:
            yield from frames
            return
        warped = render_warp(source, plan, WarpSettings(loop=loop))
        for frame, guide in zip(frames, warped, strict=True):
            yield to_bytes(straight(frame.float() / 255, guide[3:].float() / 255))

    return cut_out
