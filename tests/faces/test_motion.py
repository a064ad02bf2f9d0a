"""Every pixel's motion from 68 points: exact on the points, smooth around, still far away."""

import torch

from mofa.faces.blendshapes import displacement
from mofa.faces.motion import (
    FaceMotion,
    HeadMotion,
    expressions,
    face_region,
    head_maps,
    spread_from_lines,
)
from mofa.faces.points import move_points
from mofa.tensors.flow import bilinear_sample
from mofa.tensors.splat import splat
from mofa.types import DenseMotion

SIZE = 200


def flow_of(motion: DenseMotion) -> torch.Tensor:
    return motion.over(range(len(motion.points) - 1)).pixels


def clip_of(*faces: torch.Tensor) -> torch.Tensor:
    return torch.stack(faces)


def test_a_face_at_rest_moves_nothing(face_points):
    assert flow_of(FaceMotion(face_points.expand(3, -1, -1), SIZE, SIZE)).abs().max() < 1e-3


def test_the_head_moves_as_one_and_takes_less_along_farther_away(face_points):
    flow = flow_of(HeadMotion(clip_of(face_points, face_points + torch.tensor([4.0, 2.0])), SIZE, SIZE))[0]
    assert torch.allclose(flow[:, 100, 100], torch.tensor([4.0, 2.0]), atol=1e-3)
    far = flow[:, 198, 2].norm()
    assert far < 0.5 * flow[:, 100, 100].norm()


def test_nothing_tears_however_far_the_head_moves(face_points):
    for travel in (10.0, 60.0):
        moved = clip_of(face_points, face_points + torch.tensor([travel, 0.0]))
        flow = flow_of(HeadMotion(moved, SIZE, SIZE))[0]
        assert flow.diff(dim=1).abs().max() < 1.2
        assert flow.diff(dim=2).abs().max() < 1.2


def test_nothing_comes_in_from_beyond_the_border(face_points):
    moved = clip_of(face_points, face_points + torch.tensor([30.0, -25.0]))
    flow = flow_of(HeadMotion(moved, SIZE, SIZE))[0]
    assert not flow[0, :, 0].clamp(min=0).any()
    assert not flow[1, -1].clamp(max=0).any()


def test_pose_and_expression_are_told_apart(face_points):
    spoken = face_points + displacement("jawOpen", face_points) * 0.3
    turned = move_points(torch.tensor([[0.98, -0.1], [0.1, 0.98]]), torch.tensor([9.0, -4.0]), spoken)
    points = clip_of(face_points, turned)
    assert torch.allclose(expressions(points, head_maps(points))[1], spoken, atol=0.05)


def test_points_go_where_they_are_told(face_points):
    spoken = (
        face_points + displacement("mouthSmileLeft", face_points) + displacement("browInnerUp", face_points)
    )
    flow = flow_of(FaceMotion(clip_of(face_points, spoken), SIZE, SIZE))
    told = bilinear_sample(flow, face_points.T[None])[0].T
    assert (told - (spoken - face_points)).norm(dim=1).max() < 1.0


def test_an_expression_ends_at_the_ring(face_points):
    opened = displacement("jawOpen", face_points)
    [field] = spread_from_lines(face_points, opened[None], 400, 400)
    assert not field[:, 300:, :].any()
    assert not field[:, :, 300:].any()
    assert field[1, int(face_points[8, 1]), 100] > 20


def test_an_expression_does_not_fold_the_skin(face_points):
    spoken = face_points + 0.4 * displacement("jawOpen", face_points)
    flow = flow_of(FaceMotion(clip_of(face_points, spoken), SIZE, SIZE))
    _, weight = splat(torch.ones(1, 1, SIZE, SIZE), flow)
    assert weight[0, 0, 20:180, 20:180].max() < 4


def test_the_region_is_the_head(face_points):
    region = face_region(face_points, 400, 400)
    assert region[0, 100, 100] == 1
    assert region[0, 30, 100] == 1  # the hair
    assert region[0, 399, 399] == 0
    assert 0 < region[0].mean() < 0.5
