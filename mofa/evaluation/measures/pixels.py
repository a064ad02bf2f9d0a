"""How a clip looks, and whether it holds still where it should: measures of pixels alone."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from mofa.control.reference import FlowEstimator, consistent
from mofa.tensors.flow import bilinear_sample
from mofa.tensors.geometry import pixel_grid
from mofa.types import FlowField

SAME_DB = 100.0
"""What equal pictures read as PSNR, whose true value, infinity, no table can hold."""
LUMA = (0.299, 0.587, 0.114)
"""Brightness of red, green and blue (ITU-R BT.601)."""
WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03
"""Of SSIM (Wang et al., 2004)."""


def psnr(one: UInt8[Tensor, "T 3 H W"], other: UInt8[Tensor, "T 3 H W"]) -> Float[Tensor, " T"]:
    """Peak signal-to-noise ratio of every frame in decibels, at most SAME_DB."""
    error = (one.double() - other.double()).square().mean(dim=(1, 2, 3))
    return (10 * torch.log10(255**2 / error.clamp(min=1e-12))).clamp(max=SAME_DB).float()


def ssim(one: UInt8[Tensor, "T 3 H W"], other: UInt8[Tensor, "T 3 H W"]) -> Float[Tensor, " T"]:
    """Structural similarity of every frame's brightness (Wang et al., IEEE TIP 2004): Gaussian windows that
    lie inside the picture, levels 0..255. Sides of at least 11 pixels."""
    x, y = brightness(one)[:, None].double(), brightness(other)[:, None].double()
    mean_x, mean_y = windowed(x), windowed(y)
    var_x, var_y = windowed(x * x) - mean_x**2, windowed(y * y) - mean_y**2
    shared = windowed(x * y) - mean_x * mean_y
    c1, c2 = (K1 * 255) ** 2, (K2 * 255) ** 2
    alike = (2 * mean_x * mean_y + c1) * (2 * shared + c2)
    return (alike / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean(dim=(1, 2, 3)).float()


def windowed(values: Float[Tensor, "T 1 H W"]) -> Float[Tensor, "T 1 h w"]:
    """Gaussian means over windows of 11 x 11."""
    offset = torch.arange(WINDOW, dtype=values.dtype) - WINDOW // 2
    weight = torch.exp(-(offset**2) / (2 * SIGMA**2))
    weight = weight / weight.sum()
    return F.conv2d(F.conv2d(values, weight.view(1, 1, -1, 1)), weight.view(1, 1, 1, -1))


def brightness(frames: UInt8[Tensor, "T 3 H W"]) -> Float[Tensor, "T H W"]:
    """Luma 0..255."""
    return torch.einsum("tchw,c->thw", frames.float(), torch.tensor(LUMA))


def first_frame_psnr(picture: UInt8[Tensor, "3 H W"], frames: UInt8[Tensor, "T 3 H W"]) -> float:
    """PSNR of frame 0 against the photo: does the clip begin with the picture that was given?"""
    return float(psnr(picture[None], frames[:1])[0])


def loop_seam(frames: UInt8[Tensor, "T 3 H W"]) -> float | None:
    """How much larger the step from the last frame to the first is than the median step within the clip,
    as mean absolute difference: about 1 when the loop closes. None for a clip in which nothing changes."""
    steps = [float((a.float() - b.float()).abs().mean()) for a, b in pairwise(frames)]
    usual = float(torch.tensor(steps).median())
    seam = float((frames[-1].float() - frames[0].float()).abs().mean())
    return seam / usual if usual > 0 else None


def flicker(frames: UInt8[Tensor, "T 3 H W"], steps: FlowField) -> float | None:
    """Warping error: root mean square difference, in levels 0..255, between each frame and the next one read
    along the flow between them, where that flow is valid; mean over the steps.

    Lai et al., "Learning Blind Video Temporal Consistency" (ECCV 2018), there without the root. `steps` is
    the flow from every frame to the one after it.
    """
    errors = []
    for step, flow in enumerate(steps.pixels):
        seen = steps.valid[step, 0]
        if not seen.any():
            continue
        places = pixel_grid(flow.shape[1], flow.shape[2], flow) + flow
        brought = bilinear_sample(frames[step + 1][None].float(), places[None])[0]
        error = (brought - frames[step].float()).square().mean(dim=0)[seen].mean()
        errors.append(math.sqrt(float(error)))
    return sum(errors) / len(errors) if errors else None


def step_flow(frames: UInt8[Tensor, "T 3 H W"], estimate: FlowEstimator) -> FlowField:
    """Flow from every frame to the one after it, valid where the flow back agrees."""
    pairs = list(pairwise(frames))
    flows = [estimate(before, after) for before, after in pairs]
    back = [estimate(after, before) for before, after in pairs]
    valid = [consistent(forward, backward) for forward, backward in zip(flows, back, strict=True)]
    return FlowField(torch.stack(flows), torch.stack(valid))


def frame_consistency(features: Float[Tensor, "T D"]) -> float:
    """Mean cosine similarity between neighbouring frames' features; with CLIP's this is the frame consistency
    of MOFA-Video's Table 1 and of Gen-1 (arXiv 2302.03011)."""
    return float(F.cosine_similarity(features[:-1].double(), features[1:].double(), dim=1).mean())


def motion_iou(
    frames: UInt8[Tensor, "T 3 H W"], region: Bool[Tensor, "H W"], threshold: float = 10.0
) -> float | None:
    """IoU of a painted region and of where pixels changed by more than `threshold` levels at any time.

    The spatial IoU of Physics-IQ (arXiv 2501.09038), asked of one clip: did exactly the painted part move?
    """
    changed = ((brightness(frames) - brightness(frames[:1])).abs() > threshold).any(dim=0)
    union = (changed | region).sum()
    return float((changed & region).sum() / union) if union else None
