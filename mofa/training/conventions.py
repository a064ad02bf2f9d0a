"""The habits of a training run that its weights will rely on: what is shown to the networks, and how.

The defaults are what our inference does. `RELEASED` is what the released scripts do, faults included, each by
its name: see `docs/training.md`.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Conventions:
    """How pictures, numbers and flows are handed to the networks."""

    pixels: Literal["signed", "unit"] = "signed"
    """What VAE and adapter see: -1..1 as at inference, or 0..1 as the released scripts (a fault)."""
    picture_latent: Literal["inference", "noised-sample"] = "inference"
    """The picture's latent: noise on pixels and the posterior's mode, as at inference; or a posterior sample
    with the first frame's own noise on it, as the released scripts (a fault)."""
    time_ids: Literal["svd", "exchanged"] = "svd"
    """(fps, motion bucket, noise) as SVD; or the last two exchanged, as the released scripts (a fault)."""
    fps_id: int = 6
    """The first time id: frames per second minus one."""
    motion_bucket: int = 127
    """The amount of motion that is told; the released inference says 127 or 128."""
    noise_strength: float = 0.02
    """Deviation of the noise on the picture, on -1..1 (or on the latent: see `picture_latent`)."""
    noise_factor: float = 1.0
    """All noise levels times this. Where things go is decided under much noise, so that a factor above 1 lets
    an adapter learn it from fewer steps; Stable Video Diffusion itself moved its levels up for videos."""
    dropout: float = 0.1
    """Chance of losing the embedding alone, the latent alone, and both: this much each."""
    add_embedding: Literal["copied", "random"] = "copied"
    """The time-id MLP of a new adapter: the backbone's, or random as the released scripts (a fault)."""
    heads: Literal["backbone", "5-10-10-20"] = "backbone"
    """Attention heads of a new adapter's trunk: the backbone's, or always these as the released class."""
    tall_flow: Literal["exchanged", "kept"] = "exchanged"
    """Measured on a turned picture, the flow's two channels have to change places; the scripts forgot."""
    flow_precision: Literal["float32", "float16"] = "float32"
    """Number format that measured flow passes through."""
    hint_grid: Literal["picture", "network"] = "picture"
    """Where flow is sampled for hints: on the picture's own grid, or first (nearest) on the network's."""


OURS = Conventions()
RELEASED = Conventions(
    pixels="unit",
    picture_latent="noised-sample",
    time_ids="exchanged",
    add_embedding="random",
    heads="5-10-10-20",
    tall_flow="kept",
    flow_precision="float16",
    hint_grid="network",
)


@dataclass(frozen=True)
class SparseConventions:
    """How the sparse-to-dense network is shown pictures and flow, and how its answer is judged.

    The defaults fit what inference does with it; `RELEASED_SPARSE` is what the released training of
    Conditional Motion Propagation does.
    """

    pictures: Literal["signed", "imagenet"] = "signed"
    """-1..1, as MOFA-Video's scripts show it pictures; or less ImageNet's mean and over its deviation, as it
    was trained (that those scripts do otherwise is a fault)."""
    judged: Literal["network", "picture"] = "network"
    """Where bins are compared: on the network's own grid of half the side, or on the whole one."""
    axes: Literal["mean", "sum"] = "mean"
    """What the losses of x and y make together."""
    flow: Literal["exact", "byte"] = "exact"
    """Truth as it is, or of 256 values between -50 and 50 px, as flow kept in JPEG files has."""


OURS_SPARSE = SparseConventions()
RELEASED_SPARSE = SparseConventions(pictures="imagenet", judged="picture", axes="sum", flow="byte")
