"""What the plain package promises needs nothing of the extras, whatever else this machine has installed."""

import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
HIDING = """
import sys
for module in sys.argv.pop(1).split(","):
    sys.modules[module] = None  # importing it fails as if it were not there
from mofa.apps.cli import main
sys.exit(main(sys.argv[1:]))
"""


def promised_packages() -> set[str]:
    """What `pip install mofa-video` brings, by pyproject.toml, with all that it needs in turn."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    promised: set[str] = set()
    waiting = [Requirement(text) for text in project["dependencies"]]
    while waiting:
        name = canonicalize_name(waiting.pop().name)
        if name in promised:
            continue
        promised.add(name)
        try:
            needed = [Requirement(text) for text in requires(name) or ()]
        except PackageNotFoundError:  # for another system
            continue
        waiting += [one for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return promised


@pytest.mark.slow
def test_a_clip_needs_no_package_of_the_extras(tmp_path: Path) -> None:
    promised, clip = promised_packages(), tmp_path / "clip.mp4"
    others = [
        module
        for module, owners in packages_distributions().items()
        if module != "mofa" and not promised & {canonicalize_name(owner) for owner in owners}
    ]
    assert {"diffusers", "fastapi", "mediapipe"} & set(others)
    scene = [str(ROOT / "examples" / "photos" / "cat.jpg"), "--track", "25%,60% 35%,52%", "-o", str(clip)]
    size = ["--size", "96x64", "--frames", "4", "--renderer", "warp"]
    run = subprocess.run(
        [sys.executable, "-c", HIDING, ",".join(others), "animate", *scene, *size],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert clip.stat().st_size > 0
