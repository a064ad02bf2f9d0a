"""The line drawing of a face that the landmark adapter reads."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

CANVAS = 320
"""Side of the canvas that every face is drawn on, whatever the picture's size and aspect."""
THICKNESS = 2
"""Pixels of the canvas; with `CANVAS` what the landmark adapter was trained with."""

# Colours and order are what the adapter was trained with; later lines lie over earlier ones.
_LINES: tuple[tuple[tuple[int, ...], tuple[int, int, int]], ...] = (
    (tuple(range(17)), (10, 200, 10)),
    ((42, 43, 44, 45, 46, 47, 42), (180, 200, 10)),
    ((22, 23, 24, 25, 26), (180, 220, 10)),
    ((36, 37, 38, 39, 40, 41, 36), (10, 200, 180)),
    ((17, 18, 19, 20, 21), (10, 220, 180)),
    ((27, 28, 29, 30), (10, 200, 250)),
    ((31, 32, 33, 34, 35), (250, 200, 10)),
    ((54, 55, 56, 57), (10, 180, 20)),
    ((48, 59, 58, 57), (20, 10, 180)),
    ((64, 65, 66), (100, 100, 30)),
    ((60, 67, 66), (100, 150, 50)),
    ((51, 52, 53, 54), (20, 80, 100)),
    ((51, 50, 49, 48), (80, 100, 20)),
    ((62, 63, 64), (120, 100, 200)),
    ((62, 61, 60), (150, 120, 100)),
)


def draw_sketch(points: Float[Tensor, "T 68 2"], height: int, width: int) -> Float[Tensor, "T 3 H W"]:
    """68 points of a picture of height x width as coloured lines on black, 0..1.

    Drawn on a square canvas, positions cut to whole pixels, then resized bilinearly (method 6). Lines that
    leave the picture are cut off at its border.
    """
    scaled = points.cpu().double().numpy() * (CANVAS / width, CANVAS / height)
    # cv2 takes 32 bits; what lies that far out is not seen.
    places = scaled.clip(-30_000, 30_000).astype(np.int32)
    canvases = torch.from_numpy(np.stack([_draw(face) for face in places])).permute(0, 3, 1, 2)
    resized = F.interpolate(canvases.float(), (height, width), mode="bilinear", align_corners=False)
    return (resized / 255).to(points)


def overlay_landmarks(
    frames: UInt8[Tensor, "T 3 H W"], faces: list[Float[Tensor, "T 68 2"]]
) -> UInt8[Tensor, "T 3 H W"]:
    """The frames with the faces' lines drawn on them, as thick as suits the picture."""
    thickness = max(1, round(min(frames.shape[-2:]) / 300))
    drawn = []
    for index, frame in enumerate(frames):
        canvas = np.ascontiguousarray(frame.permute(1, 2, 0).cpu().numpy())
        for points in faces:
            places = points[index].cpu().double().numpy().clip(-30_000, 30_000).round().astype(np.int32)
            _draw_lines(canvas, places, thickness, cv2.LINE_AA)
        drawn.append(torch.from_numpy(canvas).permute(2, 0, 1))
    return torch.stack(drawn)


def _draw(places: NDArray[np.int32]) -> NDArray[np.uint8]:
    canvas = np.zeros((CANVAS, CANVAS, 3), np.uint8)
    _draw_lines(canvas, places, THICKNESS, cv2.LINE_8)
    return canvas


def _draw_lines(canvas: NDArray[np.uint8], places: NDArray[np.int32], thickness: int, kind: int) -> None:
    for line, colour in _LINES:
        cv2.polylines(canvas, [places[list(line), None]], False, colour, thickness, kind)
