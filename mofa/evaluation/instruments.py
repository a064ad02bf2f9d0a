"""What clips are read with: the tracker that was asked for, and the networks whose weights are here."""

from collections.abc import Callable, Mapping

from mofa.control.words import nearest
from mofa.errors import InputError
from mofa.evaluation.features import ClipReader, EffNetReader, PictureReader
from mofa.evaluation.identity import ArcFaceReader, FaceReader
from mofa.evaluation.standard import FidReader, FvdReader, LpipsReader
from mofa.evaluation.trackers import CoTracker, LucasKanade, Tracker
from mofa.evaluation.trial import Instruments
from mofa.vision.dis import dis_flow
from mofa.weights.networks import Files
from mofa.weights.registry import find_slot
from mofa.weights.store import locate, require


def _cotracker() -> Tracker:
    files = require(["cotracker3"], "--tracker lk")
    return CoTracker(files["cotracker3"]["scaled_offline.pth"])


TRACKERS: Mapping[str, Callable[[], Tracker]] = {"lk": LucasKanade, "cotracker3": _cotracker}
"""What `--tracker` may say."""


def instruments(tracker: str = "lk") -> Instruments:
    """All instruments. Raises InputError: no such tracker; WeightsError: its weights are not here."""
    if tracker not in TRACKERS:
        near = nearest(tracker, TRACKERS)
        raise InputError(f'there is no tracker "{tracker}": did you mean "{near}"? ({", ".join(TRACKERS)})')
    return Instruments(TRACKERS[tracker](), dis_flow, readers=readers_present(), identity=identity_present())


def _effnet(files: Files) -> PictureReader:
    return EffNetReader(files["efficientnet-lite0.pth"])


def _clip(files: Files) -> PictureReader:
    return ClipReader(files["config.json"], files["model.safetensors"])


def _lpips(files: Files) -> PictureReader:
    return LpipsReader(files["alexnet-owt-7be5be79.pth"], files["alex.pth"])


def _fid(files: Files) -> PictureReader:
    return FidReader(files["pt_inception-2015-12-05-6726825d.pth"])


def _fvd(files: Files) -> PictureReader:
    return FvdReader(files["rgb_imagenet.pt"])


READERS: Mapping[tuple[str, ...], Callable[[Files], PictureReader]] = {
    ("efficientnet-lite0",): _effnet,
    ("clip-vit-b32",): _clip,
    ("alexnet", "lpips-alex"): _lpips,
    ("fid-inception",): _fid,
    ("i3d",): _fvd,
}
"""Networks that look at pictures, by the weights that they need all of."""


def readers_present() -> tuple[PictureReader, ...]:
    """Of the networks that evaluation knows, those whose weights are on this machine."""
    readers = []
    for slots, make in READERS.items():
        states = [locate(find_slot(name)) for name in slots]
        if all(state.present for state in states):
            readers.append(make({name: path for state in states for name, path in state.paths.items()}))
    return tuple(readers)


def identity_present() -> FaceReader | None:
    """The network that tells people apart, if it is on this machine."""
    state = locate(find_slot("arcface-r50"))
    return ArcFaceReader(state.paths["arcface_r50.safetensors"]) if state.present else None
