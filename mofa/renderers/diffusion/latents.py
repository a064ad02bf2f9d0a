"""The initial noise of a clip as somebody gives it: a tensor, a file, or a generator of random numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mofa.errors import InputError
from mofa.renderers.diffusion.render import InitialNoise


def noise_from(
    latents: Float[Tensor, "T c h w"] | None = None, generator: torch.Generator | None = None
) -> InitialNoise | None:
    """The noise that is given or drawn; None where neither says, for noise that is keyed by the seed.

    Raises InputError where both say, and, when a clip is made, for latents of another shape.
    """
    if latents is not None and generator is not None:
        raise InputError("latents and a generator both give the initial noise: give one of them.")
    if generator is not None:
        source = generator

        def draw(num_frames: int, shape: tuple[int, int, int], /) -> Float[Tensor, "T c h w"]:
            return torch.randn((num_frames, *shape), generator=source, device=source.device)

        return draw
    if latents is None:
        return None
    given = latents

    def take(num_frames: int, shape: tuple[int, int, int], /) -> Float[Tensor, "T c h w"]:
        if tuple(given.shape) != (num_frames, *shape):
            here, wanted = ("x".join(map(str, sizes)) for sizes in (given.shape, (num_frames, *shape)))
            raise InputError(
                f"the latents are {here}, but this clip needs {wanted} (frames, channels, rows, columns)."
            )
        return given

    return take


def read_latents(path: Path) -> Float[Tensor, "T c h w"]:
    """Initial noise [T, c, h, w], standard normal, from a .npy file or the one array of an .npz.

    Raises InputError: absent, not such a file, of another number of axes, or with values that are not finite.
    """
    try:
        loaded: Any = np.load(path, allow_pickle=False)
        array = loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]]
        latents = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: check the path of the latents.") from None
    except Exception as error:  # a damaged or foreign file can fail in any way
        raise InputError(f"{path} cannot be read as latents ({error}): give a .npy or .npz array.") from error
    if latents.ndim == 5 and len(latents) == 1:
        latents = latents[0]
    if latents.ndim != 4 or not latents.isfinite().all():
        raise InputError(
            f"{path} is no finite array of frames x channels x rows x columns: give latents of a clip."
        )
    return latents
