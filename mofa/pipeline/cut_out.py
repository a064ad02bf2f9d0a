"""The alpha of a clip whose renderer knows none."""

from collections.abc import Iterator
from dataclasses import replace

from jaxtyping import UInt8
from torch import Tensor

from mofa.media.image import to_bytes
from mofa.pipeline.parts import Render
from mofa.renderers.warp.render import WarpSettings, render_warp
from mofa.tensors.alpha import straight
from mofa.types import MotionPlan, Progress, SourceImage


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
