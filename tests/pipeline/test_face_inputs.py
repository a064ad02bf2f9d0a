"""What is said about a face of the picture before it is driven."""

import pytest
import torch

from mofa.pipeline.face_inputs import face_by_hand
from mofa.pipeline.original import Original


@pytest.mark.parametrize(
    ("mouth", "said"), [(40.0, None), (63.5, "partly outside"), (80.0, "wholly outside")]
)
def test_a_mouth_beyond_the_photo_is_said(mouth: float, said: str | None) -> None:
    points = torch.full((68, 2), 32.0)
    points[48:, 1] = mouth + torch.linspace(-3, 3, 20)
    notes = face_by_hand(points, Original(torch.zeros(3, 64, 64))).notes
    assert [said in note for note in notes] == ([True] if said else [])
