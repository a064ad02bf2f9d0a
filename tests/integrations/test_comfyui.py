"""The nodes for ComfyUI: plain functions over its tensors, and a schema that its interface takes.

Against a stand-in for the published interface (comfy_api.latest); against ComfyUI itself where COMFYUI_PATH
names a checkout of it.
"""

import asyncio
import importlib.util
import json
import os
import re
import sys
import tomllib
import types
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mofa.apps.studio.scenes import SCENE_NAME
from mofa.errors import InputError
from mofa.pipeline.request import AnimationRequest
from mofa.weights.registry import find_slot
from mofa.weights.store import locate

PACK = Path(__file__).parents[2] / "integrations" / "comfyui"
COMFYUI = os.environ.get("COMFYUI_PATH")


# --- a stand-in for what ComfyUI publishes ---


class _Port:
    def __init__(self, id: str, display_name: str | None = None, optional: bool = False, **more: Any) -> None:
        allowed = {"tooltip", "lazy", "default", "min", "max", "step", "multiline", "options", "force_input"}
        assert set(more) <= allowed, f"{id}: {set(more) - allowed}"
        self.id, self.display_name, self.optional = id, display_name, optional
        self.__dict__.update(more)


def _type(name: str) -> type:
    ports = {"Input": type("Input", (_Port,), {}), "Output": type("Output", (_Port,), {})}
    for port in ports.values():
        port.io_type = name
    return type(name.title(), (), ports | {"io_type": name})


@dataclass
class _Schema:
    node_id: str
    display_name: str | None = None
    category: str = "sd"
    description: str = ""
    inputs: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    hidden: list[Any] = field(default_factory=list)
    is_output_node: bool = False
    not_idempotent: bool = False

    def validate(self) -> None:
        """Ids are unique among inputs, among outputs, and between them."""
        ids = [port.id for port in (*self.inputs, *self.outputs)]
        assert len(ids) == len(set(ids)), ids


class _NodeOutput:
    def __init__(self, *args: Any, ui: Any = None) -> None:
        self.args, self.ui = args, ui

    @property
    def result(self) -> tuple[Any, ...]:
        return self.args


class _ComfyNode:
    @classmethod
    def GET_SCHEMA(cls) -> _Schema:
        schema = cls.define_schema()
        schema.validate()
        return schema


class _Video:
    def __init__(self, components: Any) -> None:
        self._components = components

    def get_components(self) -> Any:
        return self._components


def stand_in() -> dict[str, types.ModuleType]:
    """comfy_api.latest, as far as nodes may use it, and what is called while they run."""
    io = types.SimpleNamespace(Custom=_type, Schema=_Schema, NodeOutput=_NodeOutput, ComfyNode=_ComfyNode)
    for name in ("Image", "Mask", "Int", "Float", "String", "Boolean", "Combo", "Audio", "Video"):
        setattr(io, name, _type(name.upper()))
    told: list[tuple[int, int]] = []
    latest = types.ModuleType("comfy_api.latest")
    latest.io = io
    latest.ComfyExtension = type("ComfyExtension", (), {})
    latest.InputImpl = types.SimpleNamespace(VideoFromComponents=_Video)
    latest.Types = types.SimpleNamespace(VideoComponents=types.SimpleNamespace)
    progress = types.SimpleNamespace(set_progress=lambda value, max_value: told.append((value, max_value)))
    latest.ComfyAPISync = lambda: types.SimpleNamespace(execution=progress, told=told)
    management = types.ModuleType("comfy.model_management")
    management.throw_exception_if_processing_interrupted = lambda: None
    modules = {"comfy_api": types.ModuleType("comfy_api"), "comfy_api.latest": latest}
    return modules | {"comfy": types.ModuleType("comfy"), "comfy.model_management": management} | folders()


def folders() -> dict[str, types.ModuleType]:
    """folder_paths: where ComfyUI has its models."""
    paths = types.ModuleType("folder_paths")
    paths.models_dir = "/nowhere/models"
    held: dict[str, list[str]] = {"diffusers": ["/nowhere/models/diffusers"]}
    paths.get_folder_paths = lambda kind: list(held[kind])
    paths.add_model_folder_path = lambda kind, path: held.setdefault(kind, []).append(path)
    return {"folder_paths": paths}


def load(path: Path, name: str) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=[str(path.parent)])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["stand-in", "real"])
def nodes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """The pack's nodes, loaded as ComfyUI loads a folder."""
    if request.param == "real":
        if COMFYUI is None:
            pytest.skip("COMFYUI_PATH names no checkout of ComfyUI")
        monkeypatch.syspath_prepend(COMFYUI)
        monkeypatch.setattr(sys, "argv", ["main.py", "--cpu"])
    else:
        for name, module in stand_in().items():
            monkeypatch.setitem(sys.modules, name, module)
    before = set(sys.modules)
    pack = load(PACK / "__init__.py", "mofa_pack")
    sys.modules["mofa_pack.nodes"].use_model_folders()
    yield sys.modules["mofa_pack.nodes"]
    assert pack.comfy_entrypoint
    for name in set(sys.modules) - before:
        if name.startswith(("mofa_pack", "comfy", "folder_paths")):
            del sys.modules[name]


@pytest.fixture(scope="module")
def functions() -> types.ModuleType:
    """What the nodes do; ComfyUI is not there."""
    assert "comfy_api" not in sys.modules
    return load(PACK / "functions.py", "mofa_functions")


# --- the schema ---


def test_every_node_has_a_schema_that_comfyui_takes(nodes: types.ModuleType) -> None:
    entry = asyncio.run(nodes.comfy_entrypoint())
    listed = asyncio.run(entry.get_node_list())
    assert [node.GET_SCHEMA().node_id for node in listed] == [node.__name__ for node in listed]
    for node in listed:
        schema = node.GET_SCHEMA()
        assert schema.node_id.startswith("Mofa")
        assert schema.description.endswith(".")
        arguments = node.execute.__func__.__code__.co_varnames[1 : node.execute.__func__.__code__.co_argcount]
        assert set(arguments) == {port.id for port in schema.inputs}, node


def test_the_pack_has_the_registrys_fields() -> None:
    pack = tomllib.loads((PACK / "pyproject.toml").read_text(encoding="utf-8"))
    project, comfy = pack["project"], pack["tool"]["comfy"]
    assert re.fullmatch(r"(?!comfyui)[a-z0-9-]{1,99}", project["name"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
    assert project["license"] == {"text": "Apache-2.0"}
    assert (PACK / "LICENSE").read_bytes() == (PACK.parents[1] / "LICENSE").read_bytes()
    whole = tomllib.loads((PACK.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [needed.split(">=")[0] for needed in project["dependencies"]] == [whole["name"]]
    assert comfy.keys() == {"PublisherId", "DisplayName", "requires-comfyui"}
    assert project["urls"].keys() == {"Repository"}


@pytest.mark.slow
def test_a_scene_is_warped_by_the_nodes(nodes: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(nodes, "report", lambda stage, done, total, /: told.append(stage))
    made = nodes.MofaScene.execute(picture(), "30%,50% 60%,50%", "zoom 1.1", 5, 8.0, 0, 0, False, 0)
    images, moved, uncovered, tracks, video = nodes.MofaWarp.execute(made.args[0]).args
    assert images.shape == (5, 48, 64, 3)
    assert moved.shape == uncovered.shape == (5, 48, 64)
    assert tracks["track_path"].shape == (5, 1, 2)
    assert float(video.get_components().frame_rate) == 8.0
    assert "render" in told
    tracks, text, length = nodes.MofaFlow.execute(made.args[0], 9, 4).args
    assert tracks["track_path"].shape == (9, 16, 2)
    assert np.array([[p["x"], p["y"]] for track in json.loads(text) for p in track]).shape == (144, 2)
    assert length == 9


def test_the_examples_are_graphs_of_nodes_that_are_there(nodes: types.ModuleType) -> None:
    ours = {node.__name__: node.GET_SCHEMA() for node in nodes.NODES}
    workflows = sorted((PACK / "workflows").glob("*.json"))
    assert len(workflows) == 4
    for path in workflows:
        assert path.with_suffix(".png").stat().st_size > 1000
        graph = json.loads(path.read_text())
        for node in graph.values():
            for value in node["inputs"].values():
                if isinstance(value, list):
                    source, index = graph[value[0]], value[1]
                    if source["class_type"] in ours:
                        assert index < len(ours[source["class_type"]].outputs)
            if node["class_type"] in ours:
                ports = {port.id: port for port in ours[node["class_type"]].inputs}
                assert set(node["inputs"]) <= set(ports), path
                needed = {name for name, port in ports.items() if not port.optional}
                assert needed <= set(node["inputs"]), path


def test_diffusion_takes_weights_of_comfyuis_folders_and_the_warp_as_a_guide(
    nodes: types.ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("diffusers")
    from mofa.evaluation.stages import toy_networks
    from mofa.pipeline.mofa_adapter import MofaAdapter

    halves = toy_networks(torch.device("cpu"), torch.float32).adapters["trajectory"]
    MofaAdapter("trajectory", halves).save_pretrained(tmp_path / "mofa" / "trained")
    (tmp_path / "mofa" / "empty").mkdir()
    monkeypatch.setattr(sys.modules["folder_paths"], "get_folder_paths", lambda kind: [str(tmp_path / kind)])
    ports = {port.id: port for port in nodes.MofaDiffusion.GET_SCHEMA().inputs}
    assert ports["model"].options == ["released", "trained"]
    assert ports["adapter"].options == ["released", "none", "trained"]

    asked: list[tuple[AnimationRequest, Path | None]] = []

    def made(request: AnimationRequest, inputs: Any, progress: Any) -> types.SimpleNamespace:
        found = locate(find_slot("trajectory")).paths
        asked.append((request, next((path.parent for path in found.values()), None)))
        clip = types.SimpleNamespace(frames=torch.zeros(5, 3, 48, 64, dtype=torch.uint8))
        return types.SimpleNamespace(clip=clip, sound=None, settings=types.SimpleNamespace(fps=8.0))

    monkeypatch.setattr(nodes.functions, "animate", made)
    monkeypatch.setenv("MOFA_HOME", str(tmp_path / "nothing"))
    scene = nodes.functions.make_scene(picture(), "30%,50% 60%,50%", frames=5)
    images, video = nodes.MofaDiffusion.execute(
        scene, "released", "trained", "none", "draft", 4, "edge-aware", "model"
    ).args
    assert images.shape == (5, 48, 64, 3)
    assert float(video.get_components().frame_rate) == 8.0
    nodes.MofaDiffusion.execute(scene, "released", "none", "warp", "standard", 0, "cmp", "block")
    (steered, weights), (guided, none) = asked
    assert weights == tmp_path / "mofa" / "trained"
    assert none is None
    assert (steered.renderer, steered.diffusion.steps, steered.diffusion.adapters) == ("diffusion", 4, True)
    assert (guided.diffusion.guide, guided.diffusion.adapters) == ("warp", False)
    with pytest.raises(InputError, match="choose an adapter"):
        nodes.functions.diffuse(scene, {"adapters": False, "guide": "none"})


@pytest.mark.parametrize("name", ["2-warp-to-time-to-move", "3-tracks-to-wan-move"])
def test_what_drives_another_model_has_its_size_and_length(name: str) -> None:
    graph = json.loads((PACK / "workflows" / f"{name}.json").read_text())
    [scene] = [one["inputs"] for one in graph.values() if one["class_type"] == "MofaScene"]
    sized = [one["inputs"] for one in graph.values() if "width" in one["inputs"]]
    assert {(one["width"], one["height"]) for one in sized} == {(832, 480)}
    assert len(sized) == 2
    assert scene["frames"] == 81
    [last] = [one for one in graph.values() if one["class_type"] == "SaveVideo"]
    reached: set[str] = set()
    waiting = [last]
    while waiting:
        links = {value[0] for value in waiting.pop()["inputs"].values() if isinstance(value, list)} - reached
        reached |= links
        waiting += [graph[link] for link in links]
    assert len(reached) + 1 == len(graph), "every node is on the way to the saved video"


# --- the functions ---


def picture(size: tuple[int, int] = (64, 48)) -> torch.Tensor:
    """An IMAGE of one picture: a bright block on a dark texture."""
    noise = np.random.default_rng(0).uniform(0, 0.3, (size[1], size[0], 3)).astype(np.float32)
    noise[16:32, 12:28] += 0.6
    return torch.from_numpy(noise)[None]


def block() -> torch.Tensor:
    mask = torch.zeros(1, 48, 64)
    mask[:, 16:32, 12:28] = 1
    return mask


def test_what_moved_and_what_was_uncovered(functions: types.ModuleType) -> None:
    scene = functions.make_scene(picture(), "20,24 44,24", mask=block(), frames=4)
    made = functions.warp(scene)
    assert torch.equal(made.images[0], (picture()[0] * 255).round() / 255)
    assert made.moved[0, 24, 20] == 1
    assert made.moved[-1, 24, 44] == 1
    assert made.moved[-1, 24, 14] == 0
    assert made.uncovered[-1, 24, 14] == 1
    assert made.uncovered[0].sum() == 0
    assert made.uncovered[-1, 40].sum() == 0
    path = made.tracks["track_path"]
    torch.testing.assert_close(path[:, 0], torch.tensor([[20.0, 24], [28, 24], [36, 24], [44, 24]]))


@pytest.mark.slow
def test_tracks_and_coordinate_strings_mean_the_same(functions: types.ModuleType) -> None:
    places = [[20 + 2 * t, 24] for t in range(8)]
    tracks = {
        "track_path": torch.tensor(places, dtype=torch.float32)[:, None],
        "track_visibility": torch.ones(8, 1, dtype=torch.bool),
    }
    text = json.dumps([{"x": x, "y": y} for x, y in places])
    doubled = json.dumps([[{"x": 2 * x, "y": 2 * y} for x, y in places]]).replace('"', "'")
    common = {"mask": block(), "frames": 8}
    first = functions.warp(functions.make_scene(picture(), tracks=tracks, **common)).images
    second = functions.warp(functions.make_scene(picture(), coordinates=text, **common)).images
    assert torch.equal(first, second)
    larger = functions.make_scene(picture(), coordinates=doubled, canvas=(128, 96), **common)
    assert (functions.warp(larger).images - first).abs().mean() < 0.01
    round_trip = functions.to_tracks(functions.from_tracks(tracks))
    assert torch.equal(round_trip["track_path"], tracks["track_path"])
    assert json.loads(functions.coordinate_string(tracks)) == [json.loads(text)]


@pytest.mark.slow
def test_a_portrait_speaks_and_the_sound_comes_along(functions: types.ModuleType, person: Any) -> None:
    pytest.importorskip("mediapipe")
    portrait = (person().permute(1, 2, 0).float() / 255)[None]
    samples = torch.sin(torch.arange(4800) / 5) * (torch.arange(4800) % 1600 > 600)
    voice = {"waveform": samples[None, None] * 0.5, "sample_rate": 8000}
    made = functions.speak(portrait, voice, fps=10.0)
    assert made.images.shape == (6, 256, 256, 3)
    assert not torch.equal(made.images[0], made.images[3])
    assert torch.equal(made.audio["waveform"], voice["waveform"])
    frames = torch.stack([person(opening=o).permute(1, 2, 0) for o in (0, 3, 6)]).float() / 255
    assert functions.drive_face(portrait, frames, fps=8.0).images.shape == (3, 256, 256, 3)


@pytest.mark.slow
def test_a_scene_goes_to_the_studio_and_to_the_command_line(
    functions: types.ModuleType, tmp_path: Path
) -> None:
    scene = functions.make_scene(picture(), "20,24 44,24", "zoom 1.1", mask=block(), frames=4)
    path = functions.save_for_studio(scene, tmp_path / "scene.zip")
    with zipfile.ZipFile(path) as package:
        package.extractall(tmp_path / "out")
    warped = functions.warp(scene).images
    for saved in (path, tmp_path / "out" / SCENE_NAME):
        again = functions.scene_from_file(str(saved))
        assert isinstance(again.request, AnimationRequest)
        assert (functions.warp(again).images - warped).abs().mean() < 2 / 255
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("other.txt", "nothing")
    for wrong, says in ((path, "no packed scene"), (tmp_path / "absent.yaml", "absent.yaml")):
        with pytest.raises(InputError, match=says):
            functions.scene_from_file(str(wrong))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({}, "nothing is asked to move"),
        ({"lines": "1,2 900,2"}, "outside the picture"),
        ({"camera": "pam left"}, "did you mean"),
        ({"coordinates": "[[1, 2]]"}, "no JSON list of tracks"),
        ({"coordinates": "[]"}, "no track"),
        ({"tracks": {"track_path": torch.zeros(3, 2)}}, "frames x tracks x 2"),
        ({"lines": "1,2 3,4", "mask": torch.zeros(1, 20, 64)}, "another aspect"),
    ],
)
def test_wrong_input_is_one_sentence(functions: types.ModuleType, more: dict, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        functions.warp(functions.make_scene(picture(), **more))
    assert "\n" not in str(caught.value)
