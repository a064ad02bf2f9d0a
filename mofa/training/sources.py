"""Where examples come from, as recipes name it."""

from dataclasses import dataclass

from mofa.media.image import to_bytes
from mofa.training.clips import Clips
from mofa.training.protocol import Source
from mofa.training.synthetic import SceneSettings, SyntheticScenes


@dataclass(frozen=True)
class SyntheticClips:
    """Made-up scenes with exact flow (`training.synthetic`)."""

    scenes: SceneSettings = SceneSettings()

    def build(self, seed: int) -> Source:
        """An endless row of scenes."""
        return SceneClips(SyntheticScenes(self.scenes, seed))


@dataclass(frozen=True)
class SceneClips:
    """Synthetic scenes as clips."""

    scenes: SyntheticScenes

    def __getitem__(self, number: int) -> Clips:
        scene = self.scenes[number]
        return Clips(
            frames=to_bytes(scene.frames),
            flow=scene.flow,
            visible=scene.visible,
            name=f"synthetic scene {number} of seed {self.scenes.seed}",
        )
