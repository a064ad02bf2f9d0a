"""Pictures, noise and clips in the forms that callers of diffusers give and expect."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.errors import InputError
from mofa.media.image import from_pillow, to_pillow
from mofa.renderers.diffusion.latents import noise_from
from mofa.renderers.diffusion.render import InitialNoise

OutputType = Literal["pil", "np", "pt", "latent"]
TOLD_STEP = ("latents",)
"""What a callback at the end of a step may ask for."""


def check_names(names: Sequence[str]) -> None:
    """Raises InputError for a tensor that no callback can be shown."""
    if unknown := [name for name in names if name not in TOLD_STEP]:
        raise InputError(
            f"a callback is shown {', '.join(TOLD_STEP)}, not {', '.join(unknown)}: ask for that."
        )


def in_memory(image: Any) -> Float[Tensor, "3 H W"] | None:
    """A picture that is no file; None for a path."""
    if isinstance(image, str | Path):
        return None
    if isinstance(image, Tensor):
        pixels = image[0] if image.ndim == 4 and len(image) == 1 else image
    elif hasattr(image, "convert"):
        pixels = from_pillow(image)
    else:
        raise InputError(
            f"the picture is a {type(image).__name__}: give a path, a Pillow picture or a tensor."
        )
    if pixels.ndim != 3 or len(pixels) != 3:
        raise InputError(
            f"the picture is {list(image.shape)}: give one picture, RGB [3, height, width] in 0..1."
        )
    return pixels


def noises_of(
    generator: torch.Generator | Sequence[torch.Generator] | None, latents: Tensor | None, count: int
) -> Iterator[InitialNoise | None]:
    """The initial noise of each of `count` clips."""
    if count < 1:
        raise InputError(f"num_videos_per_prompt is {count}: ask for one clip or more.")
    drawn = list(generator) if isinstance(generator, Sequence) else [generator] * count
    clips = [None] * count if latents is None else list(latents) if latents.ndim == 5 else [latents] * count
    for name, found in (("generators", drawn), ("latents", clips)):
        if len(found) != count:
            raise InputError(f"there are {len(found)} {name} for {count} clips: give one for each.")
    for one, start in zip(drawn, clips, strict=True):
        yield noise_from(start, one)


def clips_as(
    output_type: OutputType, clips: Iterator[UInt8[Tensor, "T 3 H W"] | Float[Tensor, "T c h w"]]
) -> Any:
    """Clips, as they come, in the form that was asked for (`mofa_pipeline.MofaPipelineOutput`)."""
    match output_type:
        case "pil":
            return [[to_pillow(frame) for frame in clip] for clip in clips]
        case "pt":
            return torch.stack([clip.float() / 255 for clip in clips])
        case "np":
            return np.stack(
                [clip.permute(0, 2, 3, 1).cpu().numpy().astype(np.float32) / 255 for clip in clips]
            )
        case "latent":
            return torch.stack(list(clips))
    raise InputError(f'output_type is "{output_type}": use pil, np, pt or latent.')
