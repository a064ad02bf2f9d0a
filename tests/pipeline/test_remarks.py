"""What a person is told about what moves."""

import json
from pathlib import Path

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from mofa.apps.cli import main
from mofa.media.image import save_png, to_bytes
from mofa.pipeline.animate import plan
from mofa.pipeline.remarks import Remarks, remark
from mofa.pipeline.request import AnimationRequest
from mofa.pipeline.tables import RENDERERS
from mofa.types import CropBox, FlowField, SourceImage, SparseMotion, ThingsAt

SIZE = 40
SOURCE = SourceImage(torch.rand(3, SIZE, SIZE), CropBox(0.0, 0.0, float(SIZE), float(SIZE), SIZE, SIZE))


class LeftIsAThing:
    """There is a thing in the left half of every picture, and nothing in the right one."""

    def __call__(self, picture: Float[Tensor, "3 H W"]) -> "LeftIsAThing":
        return self

    def ask(self, points: Float[Tensor, "K P 2"], signs: Float[Tensor, "K P"]) -> ThingsAt:
        count = len(points)
        return ThingsAt(
            torch.zeros(count, 3, 4, 4), torch.ones(count, 3), (points[:, 0, 0] < SIZE / 2).float()
        )

    def glance(self, points: Float[Tensor, "K 1 2"]) -> ThingsAt:
        return self.ask(points, torch.ones(points.shape[:2]))


def said(share: float, *places: tuple[float, float, float], bounded: bool = False) -> Remarks:
    """Remarks on hints (x, y, how far to the right) when that share of the picture moves."""
    told = torch.tensor(places)
    shift = torch.stack([told[:, 2], 0 * told[:, 2]], 1)[None]
    hints = SparseMotion(told[:, :2], shift, torch.ones(1, len(told), dtype=torch.bool), SIZE, SIZE)
    flow = torch.zeros(1, 2, SIZE, SIZE)
    flow[:, 0, : round(share * SIZE)] = 5
    field = FlowField(flow, torch.ones(1, 1, SIZE, SIZE, dtype=torch.bool))
    return remark([(bounded, hints)], field, SOURCE, 1, LeftIsAThing())


@pytest.mark.parametrize(
    ("remarks", "moved"),
    [
        (said(0.05, (5.0, 5.0, 9.0)), "1 track moves: the thing under it (5% of the picture)"),
        (
            said(0.1, (5.0, 5.0, 9.0), (9.0, 9.0, 4.0), (8.0, 8.0, 0.0)),
            "2 tracks move: the things under them (10% of the picture)",
        ),
        (
            said(0.1, (5.0, 5.0, 9.0), bounded=True),
            "1 track moves: what is painted or selected (10% of the picture)",
        ),
        (said(0.1, (35.0, 5.0, 9.0)), "1 track moves: a soft patch around it (10% of the picture)"),
    ],
)
def test_one_line_says_what_moves(remarks: Remarks, moved: str) -> None:
    assert remarks.moved == moved


def test_a_drag_on_nothing_and_one_that_moves_nearly_everything_are_noted() -> None:
    assert "no thing to take hold of at 35,5" in said(0.1, (35.0, 5.0, 9.0)).notes[0]
    assert "moves 80% of the picture" in said(0.8, (5.0, 5.0, 9.0)).notes[0]
    assert said(0.1, (5.0, 5.0, 9.0)).notes == ()
    assert said(0.8, (5.0, 5.0, 9.0), bounded=True).notes == ()
    assert said(0.0, (5.0, 5.0, 0.0)) == Remarks()


def test_the_command_line_says_it_and_its_json_has_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_png(tmp_path / "photo.png", to_bytes(torch.rand(3, 48, 64)))
    line = [
        "animate",
        str(tmp_path / "photo.png"),
        "--track",
        "20,20 30,20",
        "--frames",
        "2",
        "--renderer",
        "warp",
    ]
    assert main([*line, "--preview", "-o", str(tmp_path / "a.mp4")]) == 0
    assert "1 track moves: " in capsys.readouterr().err
    assert main([*line, "--preview", "--json", "-o", str(tmp_path / "b.mp4")]) == 0
    assert json.loads(capsys.readouterr().out)["moved"].startswith("1 track moves: ")


def test_a_scene_says_what_spreads_its_hints(tmp_path: Path) -> None:
    """Only where the sense of things does is there anything to say about what a track sits on."""
    picture = torch.full((3, 48, 64), 0.5)
    save_png(tmp_path / "plain.png", to_bytes(picture))
    scene = {"picture": str(tmp_path / "plain.png"), "frames": 2, "renderer": "warp"}
    scene |= {"controls": [{"kind": "track", "points": "20,20 30,20"}]}
    default, without = (
        AnimationRequest.from_data(scene | more) for more in ({}, {"densifier": "edge-aware"})
    )
    assert RENDERERS["warp"].densifier(default) == "things"
    assert RENDERERS["warp"].densifier(without) == "edge-aware"
    assert not any("take hold" in note for note in plan(without).motion.notes)
