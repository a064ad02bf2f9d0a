"""What clips take of the memory beside what was estimated: run as `python -m tools.memory_figures`.

Each clip is made as the studio makes it, in a process of its own; growth is resident memory at its height
over what the process took with everything imported.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

CLIPS = (
    "track 256x256 512x512 3 1",
    "track 1280x720 1280x720 3 3",
    "track 1920x1080 1920x1080 3 3",
    "track 640x360 8000x6000 5 3",
    "track 320x180 1280x720 100 3",
    "camera 1280x720 1280x720 4 0",
    "file 640x360 1280x720 5 1000",
)
"""Kind, size of the clip, size of the photo, frames, tracks."""


def main() -> None:
    """Prints a row for every clip."""
    print("| clip | grown by, MB | estimated, MB |\n| --- | ---: | ---: |", flush=True)
    for clip in CLIPS:
        row = [sys.executable, "-m", "tools.memory_figures", *clip.split()]
        print(subprocess.run(row, check=True, capture_output=True, text=True).stdout, end="", flush=True)


def measure(kind: str, size: str, photo: str, frames: str, tracks: str) -> None:
    """Makes one clip, and prints its row."""
    import resource

    import numpy as np
    from PIL import Image

    from mofa.apps.studio.making import Workshop
    from mofa.apps.studio.visitors import Visitor
    from mofa.pipeline.memory import needed_memory
    from mofa.pipeline.request import AnimationRequest
    from mofa.pipeline.things import sense_or_note
    from mofa.types import silent

    chance, (width, height) = np.random.default_rng(0), map(int, photo.split("x"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = chance.integers(0, 256, (height // 40, width // 40, 3), dtype=np.uint8)
        Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).save(folder / "p.jpg")
        walks = np.cumsum(chance.normal(0, 1, (int(tracks), int(frames), 2)), 1)
        np.save(folder / "t.npy", walks + chance.uniform(50, min(width, height) - 50, (int(tracks), 1, 2)))
        places = chance.uniform(20, 75, (int(tracks), 2))  # what a crop to 16:9 leaves
        controls: list[dict[str, object]] = [
            {"kind": "track", "points": f"{x:.1f}%,{y:.1f}% {x + 9:.1f}%,{y + 5:.1f}%"} for x, y in places
        ]
        if kind == "camera":
            controls = [{"kind": "camera", "move": "zoom 1.2, pan right 10 px"}]
        if kind == "file":
            controls = [{"kind": "track", "file": str(folder / "t.npy")}]
        scene = {"picture": str(folder / "p.jpg"), "size": size, "frames": int(frames), "renderer": "warp"}
        request = AnimationRequest.from_data(scene | {"controls": controls})
        sense_or_note()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        Workshop().clip(request, Visitor("somebody", folder / "visitor"), silent)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        words = f"{kind} {size}, photo {photo}, {frames} frames, {tracks} tracks"
        print(f"| {words} | {grown / 1e3:.0f} | {needed_memory(request) / 1e6:.0f} |")


if __name__ == "__main__":
    measure(*sys.argv[1:]) if len(sys.argv) > 1 else main()
