"""What a camera move does to a picture: `camera_words` says in which words it is written.

It is the camera that moves, so the picture moves the other way.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.control.camera_words import CameraMove
from mofa.tensors.flow import compose_affine
from mofa.types import CropBox


def camera_matrices(
    move: CameraMove, fraction: Float[Tensor, " T"], width: int, height: int
) -> Float[Tensor, "T-1 2 3"]:
    """Per step, the affine map that takes a still point of frame 0 to its place in that frame.

    Scale zoom^fraction (so that the zoom looks even) and rotation about the picture's centre, then the pan,
    each against the camera's own motion, all in pixels of a picture of width x height. `fraction` is the
    share of the move that is done at each frame (`timing.progress`); frame 0 has no matrix.
    """
    done = fraction[1:]
    angle = -math.radians(move.rotate) * done
    scale = move.zoom**done
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    # x right, y down: this turns clockwise on the screen for positive angles.
    linear = torch.stack([torch.stack([cosine, -sine], -1), torch.stack([sine, cosine], -1)], -2)
    centre = fraction.new_tensor([(width - 1) / 2, (height - 1) / 2])
    pan = fraction.new_tensor(
        [
            move.pan_x + move.pan_x_percent / 100 * width,
            move.pan_y + move.pan_y_percent / 100 * height,
        ]
    )
    offset = centre - linear @ centre - done[:, None] * pan
    return torch.cat([linear, offset[..., None]], dim=-1)


def compose(cameras: Sequence[Float[Tensor, "S 2 3"]]) -> Float[Tensor, "S 2 3"]:
    """Several cameras (at least one) as one: each moves what the ones before it show."""
    return reduce(lambda shown, camera: compose_affine(camera, shown), cameras)


def to_working_camera(move: CameraMove, crop: CropBox) -> CameraMove:
    """A move in pixels of the original picture, in pixels of the working picture."""
    return replace(move, pan_x=move.pan_x * crop.scale_x, pan_y=move.pan_y * crop.scale_y)
