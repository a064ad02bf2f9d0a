"""Optical flow without weights: dense inverse search (Kroeger et al., ECCV 2016) as in OpenCV."""

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

SMALLEST_SIDE = 32  # below this OpenCV's pyramid has no level left


def dis_flow(
    first: UInt8[Tensor, "3 H W"], second: UInt8[Tensor, "3 H W"], finest: int = 1
) -> Float32[Tensor, "2 H W"]:
    """Flow in pixels, (x, y): what is at p in `first` is at p + flow in `second`.

    Reads brightness only. Smaller pictures are extended by their border pixels. `finest` is how often the
    pictures are halved before the last search (1 in OpenCV's preset).
    """
    height, width = first.shape[1:]
    # A new estimator each time: its state is not safe to share between threads, and costs nothing to make.
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    estimator.setFinestScale(finest)
    flow = estimator.calc(_brightness(first), _brightness(second), None)[:height, :width]
    return torch.from_numpy(np.ascontiguousarray(flow.transpose(2, 0, 1))).to(first.device)


def _brightness(picture: UInt8[Tensor, "3 H W"]) -> UInt8[np.ndarray, "h w"]:
    height, width = picture.shape[1:]
    grey = cv2.cvtColor(np.ascontiguousarray(picture.permute(1, 2, 0).cpu().numpy()), cv2.COLOR_RGB2GRAY)
    below, right = max(0, SMALLEST_SIDE - height), max(0, SMALLEST_SIDE - width)
    return cv2.copyMakeBorder(grey, 0, below, 0, right, cv2.BORDER_REPLICATE)
