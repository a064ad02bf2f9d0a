"""The studio keeps networks from clip to clip, whether or not a renderer was named."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from mofa.apps.studio.making import Workshop, download
from mofa.apps.studio.quota import Quota
from mofa.apps.studio.visitors import Visitor
from mofa.errors import InputError
from mofa.pipeline.entries import RendererEntry
from mofa.pipeline.networks import Running
from mofa.pipeline.request import AnimationRequest
from mofa.pipeline.tables import RENDERERS
from mofa.types import silent


@pytest.fixture
def request_of_grey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AnimationRequest:
    """A clip by a renderer that makes grey frames."""

    def make(asked: Any, networks: Any, show: Any) -> Any:
        here = Running(torch.device("cpu"))
        frame = networks.get("toy", "grey", here, lambda: torch.full((3, 64, 64), 9, dtype=torch.uint8))
        return lambda source, plan, progress: iter([frame] * plan.num_frames)

    entry = RendererEntry("grey", lambda _: "edge-aware", lambda _: (), make)
    monkeypatch.setitem(RENDERERS, "grey", entry)
    monkeypatch.setattr("mofa.pipeline.animate.default_renderer", lambda request: "grey")
    Image.new("RGB", (64, 64), (90, 120, 60)).save(tmp_path / "photo.png")
    track = {"kind": "track", "points": "20,20 40,20"}
    scene = {"picture": str(tmp_path / "photo.png"), "frames": 3, "controls": [track]}
    return AnimationRequest.from_data(scene)


def test_the_second_clip_builds_nothing_new(tmp_path: Path, request_of_grey: AnimationRequest) -> None:
    request, workshop = request_of_grey, Workshop()
    visitor = Visitor("somebody", tmp_path / "visitor")
    for _ in range(2):
        assert workshop.clip(request, visitor, silent)["renderer"] == "grey"
    assert workshop.engines.networks.built == ["grey"]


def test_a_clip_that_outgrows_its_room_is_given_up(tmp_path: Path, request_of_grey: AnimationRequest) -> None:
    visitor = Visitor("somebody", tmp_path / "visitor", Quota(tmp_path / "visitor", per_visitor=1000))
    with pytest.raises(InputError, match="too much room"):
        Workshop().clip(request_of_grey, visitor, silent)
    assert list(visitor.results.iterdir()) == []


def test_a_clip_becomes_a_gif_frame_by_frame_and_within_the_room(
    tmp_path: Path, request_of_grey: AnimationRequest
) -> None:
    visitor = Visitor("somebody", tmp_path / "visitor")
    facts = Workshop().clip(request_of_grey, visitor, silent)
    with pytest.raises(InputError, match="too much room"):
        download(replace(visitor, quota=Quota(visitor.folder, per_visitor=5000)), facts["name"], "gif")
    with Image.open(download(visitor, facts["name"], "gif")) as gif:
        assert (gif.size, gif.n_frames) == ((64, 64), 3)
