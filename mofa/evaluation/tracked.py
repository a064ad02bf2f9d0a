"""The suite of real clips: some points are hinted, the motion of all others is to be found.

Stretches of 17 frames of every clip in a folder. Six moving points, far apart, and four still ones are hints;
the truth is what a tracker reads in the real clip, and so no better than that tracker.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mofa.errors import InputError
from mofa.evaluation.clips import clip_called, clips_in
from mofa.evaluation.motion_bench import (
    LEAST_ASKED,
    NUM_FRAMES,
    NUM_MOVING,
    NUM_STILL,
    part_by_scene,
    spread_out,
    stretches,
)
from mofa.evaluation.scene import Scene
from mofa.media.decode import read_video
from mofa.types import TrackSet
from mofa.vision.track_points import find_corners, follow_surface

MOST_POINTS = 300
"""Corners that are followed in a clip; chosen, more take longer and lie beside each other."""


@dataclass(frozen=True)
class TrackedSuite:
    """`windows` stretches of every clip under `data`, at most `long_side` pixels large."""

    data: Path
    windows: int = 2
    long_side: int = 384
    title: str = "Real clips, read by a tracker"

    def names(self) -> Sequence[str]:
        """CLIP-STRETCH."""
        return [f"{clip}-{window}" for clip in clips_in(self.data) for window in range(self.windows)]

    def open(self, name: str) -> Scene:
        """Raises InputError for a stretch that is too short or in which too little moves."""
        stem, _, window = name.rpartition("-")
        path = clip_called(stem, self.data)
        clip = read_video(path, long_side=self.long_side)
        found = list(stretches(clip.frames, self.windows))
        if int(window) >= len(found):
            raise InputError(f"{path} is too short for {self.windows} stretches of {NUM_FRAMES} frames.")
        frames = found[int(window)]
        tracks = follow_surface(frames, find_corners(frames[0], MOST_POINTS))
        hints, others, rests = asked_of(tracks, name)
        return Scene(name, frames[0], clip.fps, hints, others, rests, reference=frames)


def asked_of(tracks: TrackSet, name: str) -> tuple[TrackSet, TrackSet, torch.Tensor]:
    """Hints, other moving points, and which of both are still, of what is seen to the end."""
    seen = tracks.visible.all(dim=1)
    whole = TrackSet(tracks.points[seen], tracks.visible[seen])
    moves = (whole.points - whole.points[:, :1])[:, 1:].transpose(0, 1)
    if len(whole.points) <= NUM_MOVING + NUM_STILL:
        raise InputError(f"in {name} too few points can be followed to ask about.")
    moving, still = part_by_scene(moves)
    if int(moving.sum()) < NUM_MOVING + LEAST_ASKED or int(still.sum()) <= NUM_STILL:
        raise InputError(f"in {name} too little moves, or nothing rests: there is nothing to ask.")
    starts = whole.points[:, 0]
    hinted = torch.cat(
        [
            spread_out(starts, moving.nonzero()[:, 0], NUM_MOVING),
            spread_out(starts, still.nonzero()[:, 0], NUM_STILL),
        ]
    )
    rest = torch.ones(len(starts), dtype=torch.bool)
    rest[hinted] = False
    rest &= moving | still
    order = torch.cat([hinted, rest.nonzero()[:, 0]])
    hints, others = (TrackSet(whole.points[i], whole.visible[i]) for i in (hinted, rest.nonzero()[:, 0]))
    return hints, others, still[order]
