import torch

from mofa.tensors.alpha import on_ground, on_white, straight


def test_a_picture_on_white_and_its_alpha_give_back_its_colours() -> None:
    generator = torch.Generator().manual_seed(0)
    colours, alpha = torch.rand(3, 5, 7, generator=generator), torch.rand(1, 5, 7, generator=generator)
    alpha = 0.1 + 0.9 * alpha
    found = straight(colours * alpha + 1 - alpha, alpha)
    assert torch.allclose(found[:3], colours, atol=1e-5)
    assert torch.equal(found[3:], alpha)


def test_another_ground_shows_where_alpha_is_low() -> None:
    alpha = torch.tensor([0.0, 0.5, 1.0]).expand(1, 1, 3)
    laid = on_ground(torch.ones(3, 1, 3) * (1 - alpha), alpha, (255, 0, 0))  # black, that is
    assert torch.allclose(laid[:, 0].T, torch.tensor([[1.0, 0, 0], [0.5, 0, 0], [0, 0, 0]]))


def test_a_frame_laid_on_white_is_what_it_was() -> None:
    frame = torch.tensor([0, 0, 0, 51], dtype=torch.uint8)[:, None, None]
    assert on_white(frame).flatten().tolist() == [204] * 3
    assert torch.equal(on_white(frame[:3]), frame[:3])
