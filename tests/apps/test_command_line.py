"""Options mean what their order says, and the command answers at once."""

import os
import subprocess
import sys

import pytest

from mofa.apps.parser import Parser
from mofa.apps.scene_options import BEGINS, CLIP, DETAILS, add_scene_options, controls_in_order
from mofa.errors import InputError
from mofa.pipeline.request import AnimationRequest


def test_a_mask_belongs_to_the_track_before_it():
    controls, region = controls_in_order(
        [("track", "1,2 3,4"), ("camera", "zoom 1.1"), ("brush", "m.png"), ("tracks", "t.npy")]
    )
    assert [c.get("region") for c in controls] == [{"mask": "m.png"}, None, None]
    assert region is None


def test_a_selection_that_comes_first_holds_for_the_whole_scene():
    controls, region = controls_in_order([("select", "5,5"), ("track", "1,2 3,4")])
    assert region == {"select": "5,5"}
    assert "region" not in controls[0]


def test_details_belong_to_the_control_before_them():
    controls, _ = controls_in_order(
        [("track", "1,2"), ("ease", "in"), ("camera", "zoom 1.1"), ("from", 3), ("there_and_back", [])]
    )
    assert controls[0]["ease"] == "in"
    assert controls[1] == {"kind": "camera", "move": "zoom 1.1", "start": 3, "there_and_back": True}


def test_a_detail_of_nothing_is_refused():
    with pytest.raises(InputError, match="--there-and-back belongs to"):
        controls_in_order([("there_and_back", [])])


def test_help_answers_without_torch():
    # The time itself is printed by the benchmark; what makes it short is checked here.
    code = "import sys; from mofa.apps.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'numpy', 'pydantic', 'rich'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=os.environ)


def test_options_say_what_the_fields_of_a_scene_say():
    parser = Parser()
    add_scene_options(parser)
    words = " ".join(parser.format_help().split())
    for option in (*BEGINS, *DETAILS, *CLIP):
        told = " ".join((option.info.description or "").split()).removesuffix(".")
        assert told in words.replace("- ", "-"), option.flag


def test_every_field_of_every_control_has_its_option():
    reached = {option.field for option in (*BEGINS, *DETAILS)} | {"kind", "region", "colour"}
    for model in dict.fromkeys(option.model for option in BEGINS):
        assert set(model.model_fields) <= reached, model
    clip = {option.field for option in CLIP} | {"picture", "diffusion", "region", "controls", "outputs"}
    assert set(AnimationRequest.model_fields) <= clip | {"densifier"}  # an option of the diffusion settings
