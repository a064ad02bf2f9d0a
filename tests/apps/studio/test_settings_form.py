"""Which weights a scene needs, and which of them are missing."""

from typing import Any

import pytest

from mofa.apps.studio.settings_form import missing_weights, needed_weights
from mofa.pipeline.request import AnimationRequest

TRACK = {"kind": "track", "points": "1,1 2,2"}
FACE = {"kind": "landmarks", "speech": "voice.wav"}


@pytest.mark.parametrize(
    ("scene", "names"),
    [
        ({"controls": [TRACK]}, []),
        ({"controls": [TRACK], "renderer": "diffusion"}, ["svd-xt", "trajectory", "cmp"]),
        (
            {"controls": [TRACK], "renderer": "diffusion", "diffusion": {"densifier": "edge-aware"}},
            ["svd-xt", "trajectory"],
        ),
        ({"controls": [FACE]}, []),
        ({"controls": [FACE | {"driver": "sadtalker"}]}, ["sadtalker"]),
        (
            {"controls": [FACE | {"driver": "aniportrait"}, TRACK], "renderer": "diffusion"},
            ["audio2mesh", "audio2pose", "svd-xt", "trajectory", "landmark", "cmp"],
        ),
    ],
)
def test_a_scene_needs_the_weights_of_what_it_uses(
    scene: dict[str, Any], names: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("MOFA_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    request = AnimationRequest.from_data({"picture": "photo.jpg"} | scene)
    assert [slot.name for slot in needed_weights(request)] == names
    assert {slot["name"] for slot in missing_weights(request)} <= set(names)
