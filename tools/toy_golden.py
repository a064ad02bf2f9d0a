"""Outputs of every network and pipeline at toy size, kept with the tests: parity without a folder elsewhere.

    python -m tools.toy_golden            compares, as the tests do
    python -m tools.toy_golden --write    makes them again, after a change that was meant

Weights and inputs are drawn from their names (`tools.weights_by_name`), so nothing but the outputs is kept.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mofa.evaluation.stages import toy_networks
from mofa.models import aniportrait, sadtalker
from mofa.models.arcface import IResNet
from mofa.models.cotracker import CoTracker3, CoTrackerConfig
from mofa.models.i3d import I3D
from mofa.models.inception import Inception
from mofa.models.lpips import AlexNetFeatures, LpipsWeights
from mofa.models.tiny import TINY_SPEECH_NETWORK, TINY_UNIMATCH
from mofa.models.unimatch import UniMatch
from mofa.renderers.diffusion.placement import Placement
from mofa.renderers.diffusion.render import DiffusionModel, decode, denoise
from mofa.renderers.diffusion.settings import SvdSettings
from mofa.renderers.diffusion.svd import StableVideoDiffusion
from mofa.types import CropBox, FlowField, MotionBranch, MotionPlan, SourceImage
from tools.weights_by_name import build, draw, fill

FOLDER = Path(__file__).parents[1] / "tests" / "golden"
SEED = 5
CPU = torch.device("cpu")
SIDE, FRAMES, LONG = 64, 5, 9
SETTINGS = SvdSettings(
    steps=3, guidance_down_to=0.0, window=FRAMES, stride=2, device="cpu", precision="float32"
)
NETWORK_LIMIT, FRAME_LIMIT = 1e-4, 1.0
"""Relative error of a network's output; grey levels (0..255) of a clip's, at the most, on any machine."""

Arrays = dict[str, Tensor]


def drawn(name: str, *shape: int) -> Tensor:
    """Standard normal numbers that belong to a name."""
    return draw(f"input.{name}.values", (1, *shape), SEED)[0] * np.sqrt(np.prod(shape, dtype=np.int64))


def picture() -> Tensor:
    """A smooth picture [3, 64, 64], 0..1."""
    coarse = drawn("picture", 3, 8, 8).sigmoid()
    return torch.nn.functional.interpolate(coarse[None], (SIDE, SIDE), mode="bicubic")[0].clamp(0, 1)


def flow(frames: int) -> FlowField:
    """Motion that grows from frame to frame, a few pixels far."""
    grown = torch.linspace(0, 4, frames)[1:, None, None, None]
    coarse = torch.nn.functional.interpolate(drawn("flow", 1, 2, 4, 4), (SIDE, SIDE), mode="bilinear")
    return FlowField(grown * coarse, torch.ones(frames - 1, 1, SIDE, SIDE, dtype=torch.bool))


def model() -> DiffusionModel:
    """The toy networks, weights by name."""
    networks = toy_networks(CPU, torch.float32)
    for network in networks.networks():
        fill(network, SEED)
    return networks


def backbone_networks(networks: DiffusionModel) -> Arrays:
    """The UNet, with and without residuals, the VAE and CLIP; both adapters' halves; CMP."""
    video = networks.video
    assert isinstance(video, StableVideoDiffusion)
    condition = video.condition(picture(), SETTINGS, drawn("noise", 3, SIDE, SIDE))
    x, sigma = drawn("latents", FRAMES, 4, 8, 8), torch.tensor(3.0)
    told = video.inputs(x, sigma, [video.unseen(condition), condition])
    found: Arrays = {
        "image_embedding": condition.image_embedding,
        "image_latent": condition.image_latent,
        "unet": video.backbone.predict(*told),
        "decoded": torch.cat(list(video.decode(0.2 * x[:2], 2)))[:, :, ::2, ::2],
    }
    for name, halves in networks.adapters.items():
        drawing = drawn("sketch", FRAMES, 3, SIDE, SIDE).sigmoid() if name == "landmark" else None
        features = halves.encoder(picture()[None] * 2 - 1, flow(FRAMES).pixels, drawing)
        residuals = halves.adapter(*told, features)
        found |= {f"{name}.features.{level}": value for level, value in enumerate(features.levels)}
        found |= {f"{name}.mid": residuals.mid, f"{name}.skip": residuals.skips[-1]}
        found[f"{name}.unet"] = video.backbone.predict(*told, residuals)
    cmp = networks.sparse_to_dense
    assert cmp is not None
    known = (drawn("known", 2, 1, SIDE, SIDE) > 2.5).repeat(1, 1, 1, 1)
    hints = drawn("hints", 2, 2, SIDE, SIDE) * known
    found["cmp"] = cmp(cmp.encode(picture()[None] * 2 - 1), hints, known)[..., ::2, ::2]
    return found


def other_networks() -> Arrays:
    """UniMatch and the speech networks."""
    first, second = (255 * drawn(name, 1, 3, SIDE, SIDE).sigmoid() for name in ("first", "second"))
    speech = drawn("speech", 1, 8000)
    mel, blink = drawn("mel", 6, 1, 80, 16), drawn("blink", 6, 1).sigmoid()
    to_mesh = build(partial(aniportrait.SpeechToMesh, TINY_SPEECH_NETWORK), SEED)
    to_pose = build(partial(aniportrait.SpeechToPose, TINY_SPEECH_NETWORK), SEED)
    return {
        "unimatch": build(partial(UniMatch, TINY_UNIMATCH), SEED)(first, second)[..., ::2, ::2],
        "aniportrait.mesh": to_mesh(speech, 5),
        "aniportrait.pose": to_pose(speech, 5, 1),
        "sadtalker.expression": build(sadtalker.SpeechToExpression, SEED)(mel, drawn("face", 64), blink),
    }


def measuring_networks() -> Arrays:
    """What evaluation measures with, at full size where a size cannot be chosen.

    CoTracker3, Inception and I3D agree with their authors' programs under the same weights (2026-11-25).
    """
    pictures = drawn("pictures", 2, 3, SIDE, SIDE).sigmoid()
    frames = F.interpolate(255 * drawn("frames", 9, 3, 12, 16).sigmoid(), (96, 128), mode="bilinear")
    starts = torch.tensor([[20.0, 30.0], [64.5, 48.25], [100.0, 80.0]])
    tracker = build(partial(CoTracker3, CoTrackerConfig(96, 128, hidden=48, depth=2, virtual=4)), SEED)
    places, seen = tracker(frames, starts, 3)
    features = build(AlexNetFeatures, SEED)
    one, other = (features(2 * picture[None] - 1) for picture in pictures)
    return {
        "cotracker.places": places,
        "cotracker.seen": seen,
        "inception": build(Inception, SEED)(pictures[:1]),
        "i3d": build(I3D, SEED)(frames[None] / 255),
        "lpips": build(LpipsWeights, SEED)(one, other),
        "arcface": build(partial(IResNet, (1, 1, 2, 1), (4, 8, 8, 16)), SEED)(
            F.interpolate(pictures, (112, 112))
        ),
    }


def clip(networks: DiffusionModel, kinds: tuple[str, ...], frames: int, settings: SvdSettings) -> Arrays:
    """The latents and frames of a whole run, driven by one adapter or by both."""
    region = torch.ones(1, SIDE, SIDE)
    if len(kinds) == 2:
        region[..., SIDE // 2 :] = 0
    face = drawn("face points", 1, 68, 2) * 8 + 32 + torch.linspace(0, 6, frames)[:, None, None]
    branches = [
        MotionBranch(
            "landmark" if kind == "landmark" else "trajectory",
            flow(frames),
            region if index == 0 else 1 - region,
            face=face if kind == "landmark" else None,
        )
        for index, kind in enumerate(kinds)
    ]
    source = SourceImage(picture(), CropBox(0.0, 0.0, float(SIDE), float(SIDE), SIDE, SIDE))
    plan = MotionPlan(tuple(branches), torch.eye(2, 3).expand(frames - 1, 2, 3), frames)
    latents = denoise(source, plan, networks, settings, Placement(CPU), SEED)
    made = decode(latents, source, frames, networks, settings, Placement(CPU))
    return {"frames": torch.stack(list(made))[:, :, ::2, ::2], "latents": latents}


def pipelines(networks: DiffusionModel) -> Arrays:
    """Clips of every kind of control, short and long, guided and not."""
    cases: Mapping[str, tuple[tuple[str, ...], int, SvdSettings]] = {
        "trajectory": (("trajectory",), FRAMES, SETTINGS),
        "landmark": (("landmark",), FRAMES, SETTINGS),
        "hybrid": (("landmark", "trajectory"), FRAMES, SETTINGS),
        "long": (("trajectory",), LONG, SETTINGS),
        "unguided": (("trajectory",), FRAMES, replace(SETTINGS, guidance_highest=1.0)),
    }
    return {
        f"{name}.{part}": value
        for name, case in cases.items()
        for part, value in clip(networks, *case).items()
    }


PARTS: Mapping[str, Callable[[], Arrays]] = {
    "networks": lambda: backbone_networks(model()),
    "others": other_networks,
    "measuring": measuring_networks,
    "pipelines": lambda: pipelines(model()),
}


@torch.no_grad()
def made(part: str) -> dict[str, np.ndarray]:
    """The arrays of a part as they come out now."""
    return {name: value.numpy() for name, value in PARTS[part]().items()}


def differences(part: str) -> list[str]:
    """What comes out otherwise than it is kept, in words; nothing where all is well."""
    found = made(part)
    with np.load(FOLDER / f"{part}.npz") as kept:
        if set(kept) != set(found):
            return [f"{part}: other arrays than are kept: {set(kept) ^ set(found)}"]
        return [
            f"{part}/{name}: off by {error:.1e}, at most {limit:.0e}"
            for name in kept
            for error, limit in [difference(found[name], kept[name])]
            if not error <= limit
        ]


def difference(found: np.ndarray, kept: np.ndarray) -> tuple[float, float]:
    """How far an array is from the one that is kept, and how far it may be."""
    if found.shape != kept.shape:
        return np.inf, 0.0
    apart = np.abs(found.astype(np.float64) - kept)
    if kept.dtype == np.uint8:
        return float(apart.max()), FRAME_LIMIT
    return float(apart.max() / max(np.abs(kept).max(), 1e-12)), NETWORK_LIMIT


def main() -> int:
    """Compares or writes; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--write", action="store_true", help="keep what comes out now")
    if parser.parse_args().write:
        FOLDER.mkdir(exist_ok=True)
        for part in PARTS:
            np.savez_compressed(FOLDER / f"{part}.npz", **made(part))
        return 0
    found = [line for part in PARTS for line in differences(part)]
    print("\n".join(found) or "all as it is kept")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
