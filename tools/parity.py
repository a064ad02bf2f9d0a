"""Compares our networks with reference outputs of the released implementation, weights drawn by name.

    python -m tools.parity DIR [--only cmp,modules] [--list]

DIR holds files of the form that ../shared/golden/README.md describes. One line per array: its name, shape,
relative error ||ours - reference|| / ||reference||, the limit, and whether it holds. The exit code is 0 if
all do. A folder of the training scripts' numbers (../shared/golden_train/README.md) is known by its files and
compared as a whole. Seeds, strengths, sizes, frames, windows and steps are read from the files. Parts run in
turn and free their memory; the largest takes about 12 GB.
"""

import argparse
import gc
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from mofa.control.timing import Timing, progress
from mofa.control.tracks import curve
from mofa.faces.sketch import draw_sketch
from mofa.models.adapter_config import AdapterConfig
from mofa.models.backbone import Backbone
from mofa.models.from_config import complete
from mofa.models.motion_adapter import MotionAdapter, Residuals
from mofa.models.motion_encoder import LandmarkEncoder, TrajectoryEncoder, make_motion_encoder
from mofa.models.released_guidance import interleaved_time_context
from mofa.models.sparse_to_dense import ConditionalMotionPropagation, SparseToDense, SparseToDenseConfig
from mofa.models.svd_xt import SVD_XT, make_image_encoder, make_unet, make_vae
from mofa.models.unimatch import UniMatch, UniMatchConfig
from mofa.renderers.diffusion.svd import StableVideoDiffusion
from mofa.sampling.denoiser import AdapterBranch, Denoiser
from mofa.sampling.sampler import sample_latents
from mofa.sampling.schedule import Schedule, karras_sigmas, timestep_from_sigma
from mofa.tensors.hints import rasterise, rasterise_cut
from mofa.tensors.windows import Window, windows
from mofa.types import AdapterName, BackboneCondition, SparseMotion
from tools.parity_reference import Comparison, Findings, Reference, Skipped, relative_error
from tools.parity_speech import aniportrait_speech, sadtalker_speech
from tools.parity_training import compare_training, is_training_reference, limit_of, parts_of
from tools.weights_by_name import build

NETWORK_LIMIT = 1e-4
PIPELINE_LIMIT = 2e-3  # errors add up over steps
HEADS = (5, 10, 10, 20)  # in every reference file, for backbone and adapters alike
SIZES = replace(SVD_XT, attention_heads=HEADS)
ADAPTER = AdapterConfig(num_attention_heads=HEADS)


def landmarks(reference: Reference) -> Findings:
    """Clicks to trajectories, landmarks to hints on the network's grid and to line drawings."""
    name = next(name for name in reference if name.startswith("trajectory_") and name[11:].isdigit())
    frames = int(name.removeprefix("trajectory_"))
    yield reference.compare(name, curve(reference["trajectory_clicks"], progress(Timing(), frames)))

    side = SparseToDenseConfig().side
    height, width = reference["sketch"].shape[-2:]
    points = reference["landmarks_xy"] * torch.tensor([side / width, side / height])
    hints = SparseMotion(
        positions=points[0],
        displacement=points[1:] - points[0],
        known=torch.ones(points[1:].shape[:2], dtype=torch.bool),
        height=side,
        width=side,
    )
    displacement, known = rasterise_cut(hints, side, side)
    rows, columns = known[0, 0].nonzero().unbind(-1)
    yield reference.compare("sparse_rows", rows)
    yield reference.compare("sparse_cols", columns)
    yield reference.compare("sparse_values", displacement[:, :, rows, columns])
    # The file holds half-precision numbers.
    drawn = draw_sketch(reference["landmarks_xy"], height, width)
    yield reference.compare("sketch", drawn.to(reference["sketch"].dtype))


def sparse_to_dense(reference: Reference) -> Findings:
    """CMP: bin scores of the first step, dense flow of all."""
    config = SparseToDenseConfig()
    make = partial(ConditionalMotionPropagation, config)
    network = build(make, int(reference["seed"]), float(reference["gain"]), prefix="module.")
    points, vectors, steps = reference["points_xy"], reference["vectors_xy"], len(reference["flow"])
    share = torch.arange(1, steps + 1) / steps
    hints = SparseMotion(
        positions=points.float(),
        displacement=vectors * share[:, None, None],
        known=torch.ones(steps, len(points), dtype=torch.bool),
        height=config.side,
        width=config.side,
    )
    image = reference["image"]
    displacement, known = rasterise(hints, config.side, config.side)
    scores = network.classify(network.encode(image * 2 - 1), displacement[:1], known[:1])
    yield reference.compare("logits_0", scores[0, :, ::12, ::12])
    flow = SparseToDense(network)(image[0], hints).at_every_step().pixels
    yield reference.compare("flow", flow[:, :, ::4, ::4])
    yield reference.compare("flow_mean", flow.mean(dim=(2, 3)))


def modules(reference: Reference) -> Findings:
    """Both adapters, and the backbone corrected by one of them, at a single noise level."""
    yield from trajectory_module(reference)
    gc.collect()
    yield from landmark_module(reference)


def told(reference: Reference) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What backbone and adapters are called with alike."""
    return (
        reference["sample"],
        reference["timestep"],
        reference["image_embedding"],
        reference["added_time_ids"],
    )


def trajectory_module(reference: Reference) -> Findings:
    """The trajectory adapter's residuals and what the backbone makes of them."""
    seed = int(reference["seed"])
    encoder = build(partial(TrajectoryEncoder, ADAPTER), seed)
    features = encoder(reference["cond"], reference["flow"][0])
    adapter = build(partial(MotionAdapter, ADAPTER), seed)
    residuals = adapter(*told(reference), features).scaled(float(reference["strength_trajectory"]))
    yield from compare_residuals(reference, "traj", residuals)
    del encoder, adapter, features
    gc.collect()
    backbone = replace(idle_backbone(), unet=build(partial(make_unet, SIZES), seed))
    yield reference.compare("unet_out_traj", backbone.predict(*told(reference), residuals))
    yield reference.compare("unet_out_zero", backbone.predict(*told(reference), residuals.scaled(0)))


def landmark_module(reference: Reference) -> Findings:
    """The landmark adapter's trust in what it warped, and its residuals."""
    seed = int(reference["seed"])
    encoder = build(partial(LandmarkEncoder, ADAPTER), seed)
    picture, flow = reference["cond"], reference["flow"][0]
    pyramid = encoder.flow_encoder(encoder.controlnet_cond_embedding(picture))
    for level, finest in enumerate(pyramid):
        trust, _, _ = encoder.matte(level, finest, flow)
        yield reference.compare(f"ldmk_occlusion_{level}", trust[None])
    features = encoder(picture, flow, reference["landmark_image"][0])
    adapter = build(partial(MotionAdapter, ADAPTER), seed)
    residuals = adapter(*told(reference), features).scaled(float(reference["strength_landmark"]))
    yield from compare_residuals(reference, "ldmk", residuals)


def compare_residuals(reference: Reference, adapter: str, residuals: Residuals) -> Findings:
    """Every skip's residual and the middle's."""
    for i, skip in enumerate(residuals.skips):
        yield reference.compare(f"{adapter}_down_{i}", skip)
    yield reference.compare(f"{adapter}_mid", residuals.mid)


def unimatch(reference: Reference) -> Findings:
    """Optical flow between two pictures."""
    network = build(partial(UniMatch, UniMatchConfig()), int(reference["seed"]))
    flow = network(reference["image0"], reference["image1"])
    # With random weights, matching magnifies rounding a hundredfold: changing the pictures in their last bit
    # moves the flow by 2e-4 to 4e-4. The same network in float64 says how far float32 can be trusted.
    exact = network.double()(reference["image0"].double(), reference["image1"].double())
    rounding = relative_error(flow, exact)
    yield replace(reference.compare("flow", flow[:, :, ::2, ::2]), rounding=rounding)
    yield reference.compare("flow_mean", flow.mean(dim=(2, 3)))


def trajectory_pipeline(reference: Reference) -> Findings:
    """Picture to frames, driven by trajectories."""
    seed, strength = int(reference["seed"]), float(reference["strength_trajectory"])
    yield from pipeline(
        reference,
        branches=lambda: (branch(reference, "trajectory", "flow", seed, strength, whole(reference)),),
        passes=one_pass(reference),
    )


def hybrid_pipeline(reference: Reference) -> Findings:
    """Picture to frames, landmarks within a region and trajectories around it."""
    region = reference["mask"][0]

    def branches() -> tuple[AdapterBranch, ...]:
        seeds = int(reference["seed_landmark_adapter"]), int(reference["seed"])
        strengths = float(reference["strength_landmark"]), float(reference["strength_trajectory"])
        return (
            branch(reference, "landmark", "flow", seeds[0], strengths[0], region),
            branch(reference, "trajectory", "flow2", seeds[1], strengths[1], 1 - region),
        )

    yield from pipeline(reference, branches, one_pass(reference))


def long_pipeline(reference: Reference) -> Findings:
    """Picture to a clip of several windows, driven by landmarks."""
    seed, strength = int(reference["seed"]), float(reference["strength_landmark"])
    num_frames = reference["latents"].shape[1]
    yield from pipeline(
        reference,
        branches=lambda: (branch(reference, "landmark", "flow", seed, strength, whole(reference)),),
        passes=windows(num_frames, int(reference["window_size"]), int(reference["stride"])),
    )


def one_pass(reference: Reference) -> tuple[Window, ...]:
    """A single window over all frames."""
    return (tuple(range(reference["latents"].shape[1])),)


def whole(reference: Reference) -> Tensor:
    """A region that is the whole picture."""
    return torch.ones(1, *reference["image"].shape[:2])


def picture_of(reference: Reference) -> Tensor:
    """The picture [3, H, W], 0..1."""
    return reference["image"].permute(2, 0, 1) / 255


def pipeline(
    reference: Reference, branches: Callable[[], tuple[AdapterBranch, ...]], passes: tuple[Window, ...]
) -> Findings:
    """Everything from picture to frames, in three turns so that the networks need not be there together."""
    condition = condition_of(reference)
    yield reference.compare("image_embedding", condition.image_embedding)
    yield reference.compare("image_latents", condition.image_latent)
    gc.collect()

    schedule = Schedule(karras_sigmas(len(reference["timesteps"])))
    yield reference.compare("sigmas", schedule.sigmas)
    yield reference.compare("timesteps", timestep_from_sigma(schedule.sigmas[:-1]))
    latents = sampled(reference, condition, branches(), schedule, passes)
    yield reference.compare("latents_out", latents[None])
    gc.collect()

    name = next(name for name in reference if name.startswith("frames_"))
    count = int(name.removeprefix("frames_"))
    vae = build(partial(make_vae, SIZES), int(reference["seed"]))
    frames = torch.cat(list(replace(idle_backbone(), vae=vae).decode(latents[:count], count)))
    yield reference.compare(name, frames.movedim(0, 1)[None])


def condition_of(reference: Reference) -> BackboneCondition:
    """What the backbone is told about the picture, CLIP fed the released way."""
    seed = int(reference["seed"])
    image_encoder = build(partial(make_image_encoder, SIZES), seed)
    complete(image_encoder)
    vae = build(partial(make_vae, SIZES), seed)
    backbone = replace(idle_backbone(), vae=vae, image_encoder=image_encoder)
    return backbone.condition(picture_of(reference), normalise_for_clip=False)


def branch(
    reference: Reference, adapter: AdapterName, flow: str, seed: int, strength: float, region: Tensor
) -> AdapterBranch:
    """One adapter, its features worked out, its encoder gone."""
    encoder = build(partial(make_motion_encoder, adapter, ADAPTER), seed)
    sketch = reference["landmark_images"][0] if adapter == "landmark" else None
    features = encoder(picture_of(reference)[None] * 2 - 1, reference[flow][0], sketch)
    return AdapterBranch(build(partial(MotionAdapter, ADAPTER), seed), features, region, strength)


def sampled(
    reference: Reference,
    condition: BackboneCondition,
    branches: tuple[AdapterBranch, ...],
    schedule: Schedule,
    passes: tuple[Window, ...],
) -> Tensor:
    """The clip's latents, guided as the released inference did it."""
    unet = build(partial(make_unet, SIZES), int(reference["seed"]))
    backbone = replace(idle_backbone(), unet=unet)
    denoiser = Denoiser(StableVideoDiffusion(backbone), condition, branches)
    with interleaved_time_context(unet, *(branch.adapter for branch in branches)):
        return sample_latents(denoiser, reference["latents"][0], schedule, passes)


def idle_backbone() -> Backbone:
    """A backbone without memory, in which the networks whose turn it is are replaced by real ones."""
    with torch.device("meta"):
        return Backbone(make_unet(SIZES), make_vae(SIZES), make_image_encoder(SIZES))


@dataclass(frozen=True)
class Part:
    """What is compared with one reference file."""

    file: str
    run: Callable[[Reference], Findings]
    limit: float = NETWORK_LIMIT


PARTS = {
    "landmarks": Part("landmarks.npz", landmarks),
    "cmp": Part("cmp.npz", sparse_to_dense),
    "modules": Part("modules.npz", modules),
    "unimatch": Part("unimatch.npz", unimatch),
    "pipe_traj": Part("pipe_traj.npz", trajectory_pipeline, PIPELINE_LIMIT),
    "pipe_hybrid": Part("pipe_hybrid.npz", hybrid_pipeline, PIPELINE_LIMIT),
    "pipe_long": Part("pipe_long.npz", long_pipeline, PIPELINE_LIMIT),
    "audio": Part("audio.npz", aniportrait_speech),
    "sadtalker": Part("sadtalker.npz", sadtalker_speech),
}


@dataclass
class Tally:
    """How many arrays agreed, did not, or had nothing to agree with."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


@torch.no_grad()
def check(name: str, folder: Path, tally: Tally) -> None:
    """Runs one part and prints a line per array."""
    part, begin = PARTS[name], time.perf_counter()
    path = folder / part.file
    if not path.exists():
        report(Skipped(name, f"{path} is not there"), name, part.limit, tally)
        return
    for finding in part.run(Reference(path)):
        report(finding, name, part.limit, tally)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{name}: {time.perf_counter() - begin:.0f} s, {peak:.1f} GB at most so far", flush=True)


@torch.no_grad()
def check_training(name: str, path: Path, tally: Tally) -> None:
    """Runs one part of the training references and prints a line per array."""
    begin = time.perf_counter()
    for finding in compare_training(name, Reference(path)):
        limit = NETWORK_LIMIT if isinstance(finding, Skipped) else limit_of(finding)
        report(finding, name, limit, tally)
    print(f"{name}: {time.perf_counter() - begin:.0f} s", flush=True)


def report(finding: Comparison | Skipped, part: str, limit: float, tally: Tally) -> None:
    """One line, and one more in the tally."""
    if isinstance(finding, Skipped):
        tally.skipped += 1
        name = part if finding.name == part else f"{part}/{finding.name}"
        print(f"{name:<30} skipped: {finding.reason}", flush=True)
        return
    allowed = finding.limit(limit)
    holds = finding.error <= allowed
    tally.passed += holds
    tally.failed += not holds
    shape = "x".join(map(str, finding.reference.shape)) or "scalar"
    verdict = "ok" if holds else "FAILED"
    if finding.ours.shape != finding.reference.shape:
        verdict += f" (ours is {'x'.join(map(str, finding.ours.shape))})"
    if allowed > limit:
        verdict += f" (float32 cannot tell {limit:.0e} here: it moves ours by {finding.rounding:.1e})"
    name = f"{part}/{finding.name}"
    print(f"{name:<30} {shape:<16} {finding.error:8.1e}  limit {allowed:.0e}  {verdict}", flush=True)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.parity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="DIR", type=Path, nargs="?", help="the reference files")
    parser.add_argument("--only", metavar="PARTS", default=",".join(PARTS), help="some of: %(default)s")
    parser.add_argument("--list", action="store_true", help="say what each part covers")
    options = parser.parse_args()
    options.parts = options.only.split(",")
    unknown = [name for name in options.parts if name not in PARTS]
    if unknown:
        parser.error(f'there is no part "{unknown[0]}": choose from {", ".join(PARTS)}')
    if not options.list and (options.folder is None or not options.folder.is_dir()):
        parser.error(f"{options.folder or 'DIR'} is not a folder: name the one with the reference files")
    return options


def main() -> int:
    options = arguments()
    if options.list:
        for name in options.parts:
            print(f"{name:<12} {PARTS[name].file:<18} {PARTS[name].run.__doc__}")
        return 0
    torch.set_num_threads(min(os.cpu_count() or 1, 8))
    tally = Tally()
    if is_training_reference(options.folder):
        for name, path in parts_of(options.folder):
            check_training(name, path, tally)
        print(tally)
        return 1 if tally.failed else 0
    for name in options.parts:
        check(name, options.folder, tally)
        gc.collect()
    print(tally)
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
