"""Where examples come from, as recipes name it."""

from dataclasses import dataclass

from mofa.errors import InputError
from mofa.media.image import to_bytes
from mofa.training.clips import Clips
from mofa.training.protocol import Source
from mofa.training.synthetic import SceneSettings, SyntheticScenes
from mofa.training.synthetic_faces import SyntheticFaces


@dataclass(frozen=True)
class SyntheticClips:
    """Made-up scenes with exact flow (`training.synthetic`)."""

    scenes: SceneSettings = SceneSettings()

    def build(self, seed: int) -> Source:
        """An endless row of scenes."""
        return SceneClips(SyntheticScenes(self.scenes, seed))


@dataclass(frozen=True)
class ScenesAndFaces:
    """Made-up scenes and drawn faces in turn, for a toy backbone that both toy adapters stand on."""

    scenes: SceneSettings = SceneSettings()
    faces: SyntheticFaces = SyntheticFaces()

    def build(self, seed: int) -> Source:
        """An endless row of both; raises InputError where they differ in size or length."""
        sizes = {(kind.height, kind.width, kind.num_frames) for kind in (self.scenes, self.faces)}
        if len(sizes) > 1:
            raise InputError(
                f"scenes and faces of one row are of one size and length, and these are {sorted(sizes)} "
                "(height, width, frames): make data.scenes and data.faces alike."
            )
        return InTurn(SceneClips(SyntheticScenes(self.scenes, seed)), self.faces.build(seed))


@dataclass(frozen=True)
class InTurn:
    """Even examples from one source, odd ones from another; what not both know, such as flow, is left out."""

    even: Source
    odd: Source

    def __getitem__(self, number: int) -> Clips:
        clip = (self.even, self.odd)[number % 2][number]
        return Clips(frames=clip.frames, name=clip.name)


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
