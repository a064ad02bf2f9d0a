"""A picture that was shifted is seen to have shifted."""

import pytest
import torch
import torch.nn.functional as F

from mofa.vision.dis import dis_flow


def texture(height: int, width: int) -> torch.Tensor:
    noise = torch.rand(1, 3, height // 6 + 2, width // 6 + 2, generator=torch.Generator().manual_seed(0))
    smooth = F.interpolate(noise, (height, width), mode="bicubic")[0]
    return (smooth.clamp(0, 1) * 255).to(torch.uint8)


@pytest.mark.parametrize("shift", [(0, 0), (7, 0), (-3, 5)])
def test_a_shift_is_found(shift) -> None:
    dx, dy = shift
    picture = texture(120, 160)
    flow = dis_flow(picture, picture.roll((dy, dx), (1, 2)))
    middle = flow[:, 30:90, 30:130]
    torch.testing.assert_close(middle.mean((1, 2)), torch.tensor([float(dx), float(dy)]), atol=0.1, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (8, 100), (100, 5), (31, 31)])
def test_small_pictures_have_a_flow_too(size) -> None:
    picture = texture(*size)
    assert dis_flow(picture, picture).abs().max() < 0.1
    assert dis_flow(picture, picture).shape == (2, *size)
