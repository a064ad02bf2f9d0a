"""The hosted demo makes clips, and tells visitors what is wrong."""

import importlib.util
import tomllib
import types
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from mofa.media.decode import read_video

gradio = pytest.importorskip("gradio")
APP = Path(__file__).parents[2] / "spaces" / "app.py"


@pytest.fixture(scope="module")
def app() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("mofa_space", APP)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def photo(tmp_path: Path) -> str:
    noise = np.random.default_rng(0).integers(0, 255, (32, 48, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def test_a_clip_is_made(app: types.ModuleType, photo: str) -> None:
    path = app.make(photo, "30%,50% 60%,50%\n\n90%,90%", "zoom 1.1", 4, False, "warp")
    assert read_video(Path(path)).frames.shape == (4, 3, 32, 48)
    assert app.build() is not None
    assert "warp" in app.renderers()


def test_the_folder_is_one_that_a_space_takes() -> None:
    _, front, text = (APP.parent / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    header = yaml.safe_load(front)
    assert header["sdk"] == "gradio"
    assert (APP.parent / header["app_file"]).is_file()
    assert int(header["sdk_version"].split(".")[0]) == int(gradio.__version__.split(".")[0])
    assert len(header["short_description"]) <= 60
    assert text.strip()
    project = tomllib.loads((APP.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [needs] = (APP.parent / "requirements.txt").read_text(encoding="utf-8").split()
    name, extras = needs.rstrip("]").split("[")
    assert name == project["name"]
    assert set(extras.split(",")) <= set(project["optional-dependencies"])


@pytest.mark.parametrize(
    ("lines", "camera", "says"),
    [("", "", "nothing is asked to move"), ("1,2 900,2", "", "outside"), ("", "pam left", "did you mean")],
)
def test_a_visitor_is_told_what_is_wrong(
    app: types.ModuleType, photo: str, lines: str, camera: str, says: str
) -> None:
    with pytest.raises(gradio.Error, match=says):
        app.make(photo, lines, camera, 4, False, "warp")
    with pytest.raises(gradio.Error, match="Choose a photo"):
        app.make(None, lines, camera, 4, False, "warp")
