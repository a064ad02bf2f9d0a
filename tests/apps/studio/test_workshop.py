"""The studio keeps networks from clip to clip, whether or not a renderer was named."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from mofa.apps.studio.making import Workshop
from mofa.apps.studio.visitors import Visitor
from mofa.pipeline.entries import RendererEntry
from mofa.pipeline.networks import Running
from mofa.pipeline.request import AnimationRequest
from mofa.pipeline.tables import RENDERERS
from mofa.types import silent


def test_the_second_clip_builds_nothing_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    request = AnimationRequest.from_data(scene)
    workshop, visitor = Workshop(), Visitor("somebody", tmp_path / "visitor")
    for _ in range(2):
        assert workshop.clip(request, visitor, silent)["renderer"] == "grey"
    assert workshop.engines.networks.built == ["grey"]
