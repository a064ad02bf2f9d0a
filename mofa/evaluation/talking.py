"""The suite of talking heads: every clip of a face with its voice is asked again from its first frame and its
sound alone, and is its own true clip."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mofa.evaluation.clips import clip_called, clips_in
from mofa.evaluation.scene import Scene, Speech, no_tracks
from mofa.media.audio import read_audio
from mofa.media.decode import read_video


@dataclass(frozen=True)
class TalkingSuite:
    """Clips with sound under `data`; at most `seconds` of each, at most `long_side` pixels large."""

    data: Path
    seconds: float = 5.0
    long_side: int = 512
    title: str = "Talking heads, from one frame and the voice"

    def names(self) -> Sequence[str]:
        """One per clip; a clip without sound or face is a scene that cannot be judged."""
        return list(clips_in(self.data))

    def open(self, name: str) -> Scene:
        """Raises InputError for a clip without sound."""
        path = clip_called(name, self.data)
        sound = read_audio(path)
        clip = read_video(path, long_side=self.long_side)
        frames = clip.frames[: max(2, round(self.seconds * clip.fps))]
        return Scene(
            name=name,
            picture=frames[0],
            fps=clip.fps,
            hints=no_tracks(len(frames)),
            others=no_tracks(len(frames)),
            rests=torch.zeros(0, dtype=torch.bool),
            reference=frames,
            speech=Speech(path, sound),
        )
