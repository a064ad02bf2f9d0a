"""Motion taken from a video: its flow from the first frame drives the picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from mofa.errors import InputError
from mofa.tensors.flow import bilinear_sample
from mofa.tensors.gaps import fill_gaps
from mofa.tensors.geometry import pixel_grid, resize_flow, shrunk
from mofa.types import FlowField, Progress, silent

WORKING_SIDE = 640
"""Pixels: the longest side at which a video's motion is measured; chosen, above what UniMatch sees (512)."""
MOST_PIXELS = 40_000_000
"""Of all measured frames together, 320 MB of flow; beyond it they are smaller. Chosen to bound the memory."""
ENOUGH = 0.95
"""Share of the frame that must be measured directly before chaining is spared; chosen."""


@runtime_checkable
class FlowEstimator(Protocol):
    """Optical flow: what is at p in `first` is at p + flow in `second`, (x, y) in pixels."""

    def __call__(
        self, first: UInt8[Tensor, "3 H W"], second: UInt8[Tensor, "3 H W"], /
    ) -> Float[Tensor, "2 H W"]: ...


@dataclass(frozen=True)
class VideoMotion:
    """The motion of a video at the size it was measured at, told at any step on a picture of height x width.

    `flow` leads from the video's first frame to K later ones, where `known`; `times` says of every step
    which of them it shows, in frames, 0 being the first one.
    """

    flow: Float[Tensor, "K 2 h w"]
    known: Bool[Tensor, " K"]
    times: tuple[float, ...]
    height: int
    width: int

    def over(self, steps: Sequence[int], /) -> FlowField:
        """The flow at these steps."""
        measured = [_at(self.flow, self.known, self.times[step]) for step in steps]
        pixels = [resize_flow(flow[None], self.height, self.width) for flow, _ in measured]
        valid = torch.stack([certain for _, certain in measured])[:, None, None, None]
        return FlowField(torch.cat(pixels), valid.expand(-1, 1, self.height, self.width))


def video_motion(
    frames: UInt8[Tensor, "R 3 h w"],
    fraction: Float[Tensor, " T"],
    height: int,
    width: int,
    estimate: FlowEstimator,
    progress: Progress = silent,
) -> VideoMotion:
    """The motion of a video, retimed and stretched to a picture of height x width.

    `fraction` says for every frame of the clip how much of the video has passed: 0 is its first frame, which
    stands for the picture, 1 its last. Where the flow cannot be measured (things that get hidden or leave the
    frame) it continues that of the pixels around, so the field is valid everywhere, except in steps in which
    nothing at all could be measured.
    Raises InputError for a video of fewer than two frames.
    """
    if len(frames) < 2:
        raise InputError(
            f"the reference video has {len(frames)} frame(s): motion needs at least two.", key="video.frames"
        )
    measured = measured_flow(measurable(frames, len(fraction)), estimate, progress)
    for flow, known in zip(measured.pixels, measured.valid, strict=True):
        flow.copy_(fill_gaps(flow, known[0]))
    # A fraction of single precision must still meet the frame that it means.
    times = (fraction[1:].double() * len(measured.pixels)).round(decimals=4).tolist()
    seen = measured.valid.flatten(1).any(1)
    return VideoMotion(measured.pixels, seen, tuple(times), height, width)


def measurable(frames: UInt8[Tensor, "R 3 h w"], num_frames: int) -> UInt8[Tensor, "K 3 H W"]:
    """What of a video is measured for a clip of `num_frames`: so many at most, evenly spread, and small.

    The first and the last frame are among them. What is small and few already is returned as it is.
    """
    count = min(len(frames), num_frames)
    height, width = frames.shape[2:]
    side = min(WORKING_SIDE, int((MOST_PIXELS / count * max(height, width) / min(height, width)) ** 0.5))
    small_width, small_height = shrunk(width, height, side)
    size = small_height, small_width
    if count == len(frames) and size == (height, width):
        return frames
    # One by one: all of them in their own size would be a second video.
    chosen = frames.new_empty(count, 3, *size)
    places = torch.linspace(0, len(frames) - 1, count).round().long().tolist()
    for place, index in enumerate(places):
        frame = frames[index : index + 1]
        if size != (height, width):
            frame = F.interpolate(frame.float(), size, mode="bilinear", antialias=True).round().clamp(0, 255)
        chosen[place] = frame[0]
    return chosen


def measured_flow(
    frames: UInt8[Tensor, "K 3 h w"], estimate: FlowEstimator, progress: Progress = silent
) -> FlowField:
    """Flow from frame 0 to each later frame, valid where the flow back agrees (Sundaram et al., ECCV 2010).

    Measured directly where that holds; where it does not, over the frame before: the flow so far, plus the
    step from there. Direct flow does not drift, steps from frame to frame reach further.
    """
    flow = torch.zeros_like(frames[0, :2], dtype=torch.float32)
    valid = torch.ones_like(frames[0, :1], dtype=torch.bool)
    steps = len(frames) - 1, -1, -1, -1
    flows, valids = flow.expand(steps).contiguous(), valid.expand(steps).contiguous()
    for step in range(1, len(frames)):
        progress("reference", step - 1, len(frames) - 1)
        direct, agrees = _checked(frames[0], frames[step], estimate)
        if step > 1 and agrees.float().mean() < ENOUGH:
            chained, unbroken = _chained(flow, valid, frames[step - 1], frames[step], estimate)
            flow, valid = torch.where(agrees, direct, chained), agrees | unbroken
        else:
            flow, valid = direct, agrees
        flows[step - 1], valids[step - 1] = flow, valid
    progress("reference", len(frames) - 1, len(frames) - 1)
    return FlowField(flows, valids)


def consistent(forward: Float[Tensor, "2 H W"], backward: Float[Tensor, "2 H W"]) -> Bool[Tensor, "1 H W"]:
    """Where the way there and back ends near its start, and the way there ends inside the picture.

    |f(p) + b(p + f(p))|^2 < 0.01 (|f|^2 + |b|^2) + 0.5 (Sundaram et al., eq. 5).
    """
    height, width = forward.shape[1:]
    places = pixel_grid(height, width, forward) + forward
    back = bilinear_sample(backward[None], places[None])[0]
    error = (forward + back).square().sum(0)
    allowed = 0.01 * (forward.square().sum(0) + back.square().sum(0)) + 0.5
    x, y = places
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    return ((error < allowed) & inside)[None]


def _checked(
    first: UInt8[Tensor, "3 H W"], second: UInt8[Tensor, "3 H W"], estimate: FlowEstimator
) -> tuple[Float[Tensor, "2 H W"], Bool[Tensor, "1 H W"]]:
    forward = estimate(first, second)
    return forward, consistent(forward, estimate(second, first))


def _chained(
    flow: Float[Tensor, "2 H W"],
    valid: Bool[Tensor, "1 H W"],
    before: UInt8[Tensor, "3 H W"],
    now: UInt8[Tensor, "3 H W"],
    estimate: FlowEstimator,
) -> tuple[Float[Tensor, "2 H W"], Bool[Tensor, "1 H W"]]:
    step, agrees = _checked(before, now, estimate)
    places = pixel_grid(flow.shape[1], flow.shape[2], flow) + flow
    onward = bilinear_sample(torch.cat([step, agrees.to(step)])[None], places[None])[0]
    return flow + onward[:2], valid & (onward[2:] > 0.5)


def _at(
    flow: Float[Tensor, "K 2 H W"], known: Bool[Tensor, " K"], time: float
) -> tuple[Float[Tensor, "2 H W"], Bool[Tensor, ""]]:
    """The flow at a time between frames 0 (still) and K, linear in between."""
    after = max(1, min(len(flow), int(-(-time // 1))))
    share = time - (after - 1)
    if after == 1:
        return flow[0] * share, known[0]
    return torch.lerp(flow[after - 2], flow[after - 1], share), known[after - 2] & known[after - 1]
