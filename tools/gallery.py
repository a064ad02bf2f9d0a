"""Runs every example and writes the pictures of docs/gallery.md.

python -m tools.gallery
"""

import sys
from pathlib import Path

from mofa.apps.examples import example, example_names
from mofa.media.draw import contact_sheet
from mofa.media.image import save_jpeg
from mofa.pipeline.animate import animate
from mofa.pipeline.request import AnimationRequest

FOLDER = Path(__file__).parent.parent / "docs" / "gallery"
FRAMES = 6


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    for name in example_names():
        result = animate(AnimationRequest.from_file(example(name)))
        assert result.clip is not None
        frames = result.clip.frames
        if result.settings.loop:
            # The frame after the last is the first: half a round shows all there is to see.
            frames = frames[: len(frames) // 2 + 1]
        path = FOLDER / f"{name.partition('-')[2]}.jpg"
        save_jpeg(path, contact_sheet(frames, columns=3, max_width=1200, most=FRAMES))
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
