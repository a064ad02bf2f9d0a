"""Holes filled by LaMa (Suvorov et al., "Resolution-robust Large Mask Inpainting", WACV 2022), by OpenCV.

The published ONNX file takes a picture [1, 3, 512, 512] in 0..1 and a mask [1, 1, 512, 512], 1 where it is to
be filled, and gives the picture in 0..255.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mofa.tensors.neighbourhood import window_around

SIDE = 512
"""Of the picture that the network was exported for."""


@runtime_checkable
class Network(Protocol):
    """What is used of `cv2.dnn.Net`."""

    def setInput(self, blob: np.ndarray, name: str) -> None:
        """Gives one input."""

    def forward(self) -> np.ndarray:
        """The output."""


@dataclass(frozen=True)
class LearnedFill:
    """Fills holes as `vision.inpaint.inpaint` does, with a network's idea of what is behind."""

    network: Network

    @classmethod
    def read(cls, path: Path) -> "LearnedFill":
        """The network in an ONNX file."""
        return cls(cv2.dnn.readNetFromONNX(str(path)))

    def __call__(
        self, picture: Float[Tensor, "3 H W"], hole: Bool[Tensor, "H W"], foreign: Bool[Tensor, "H W"]
    ) -> Float[Tensor, "3 H W"]:
        """The picture (0..1) with `hole` filled, nothing of it taken from `foreign`; the rest as it is.

        What the network sees is the hole with as much around it as it is large.
        """
        unknown = hole | foreign
        if not hole.any() or unknown.all():
            return picture
        rows, columns = window_around(hole, share=0.5, least=64)
        filled = picture.clone()
        filled[:, rows, columns] = self._filled(picture[:, rows, columns], unknown[rows, columns])
        return torch.where(hole, filled, picture)

    def _filled(
        self, picture: Float[Tensor, "3 h w"], unknown: Bool[Tensor, "h w"]
    ) -> Float[Tensor, "3 h w"]:
        mask = F.interpolate(unknown[None, None].float(), (SIDE, SIDE), mode="area") > 0
        seen = F.interpolate(picture[None].float().cpu(), (SIDE, SIDE), mode="bilinear", antialias=True)
        self.network.setInput(seen.numpy(), "image")
        self.network.setInput(mask.float().cpu().numpy(), "mask")
        made = torch.from_numpy(np.asarray(self.network.forward())) / 255
        back = F.interpolate(made, picture.shape[1:], mode="bilinear", antialias=True)[0]
        return back.clamp(0, 1).to(picture)
