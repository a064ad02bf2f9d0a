"""Photos that are partly transparent: what becomes of that in a clip."""

from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from mofa.media.colours import colour_of
from mofa.media.forms import carries_alpha
from mofa.media.image import read_alpha
from mofa.pipeline.original import Original
from mofa.pipeline.request import Outputs
from mofa.tensors.alpha import on_ground
from mofa.types import Note


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
