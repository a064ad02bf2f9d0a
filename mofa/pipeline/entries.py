"""What a table of parts holds: the form of a renderer, a densifier, a flow estimator, a speech driver and a
video model as a named value. `pipeline.tables` has the values.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from mofa.renderers.diffusion.settings import DiffusionSettings

if TYPE_CHECKING:
    from mofa.pipeline.networks import Networks, Running
    from mofa.types import AdapterName, Show


@runtime_checkable
class Asked(Protocol):
    """What a renderer reads of a request; `pipeline.request.AnimationRequest` is the one in use."""

    @property
    def loop(self) -> bool: ...

    @property
    def seed(self) -> int: ...

    @property
    def densifier(self) -> str | None: ...

    @property
    def diffusion(self) -> DiffusionSettings: ...

    @property
    def latents(self) -> Path | None: ...

    @property
    def adapters(self) -> "tuple[AdapterName, ...]": ...

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> "Asked":
        """The same with other values in some fields."""
        ...


def some_pictures(asked: Asked, width: int, height: int, frames: int) -> float:
    """The memory of a renderer that says nothing about it: room for some dozen pictures of its size."""
    return 400.0 * width * height


@dataclass(frozen=True)
class RendererEntry:
    """A renderer: the densifier that it works with, the weights that it needs, and how it is made.

    `make(asked, networks, show)` is a `parts.Render`, which may show what it makes while it does.
    `memory(asked, width, height, frames)` are bytes of main memory that a clip takes, rather too many.
    """

    title: str
    densifier: Callable[[Asked], str]
    slots: Callable[[Asked], Sequence[str]]
    make: "Callable[[Asked, Networks, Show | None], Any]"
    memory: Callable[[Asked, int, int, int], float] = some_pictures


@dataclass(frozen=True)
class DensifierEntry:
    """A way from hints to dense motion. `make(asked, networks)` is a `parts.Densifier`.

    `spreads_faces` says that a face's 68 points are hints for it; else the face's own mesh bends the picture.
    """

    title: str
    make: Callable[[Asked, "Networks"], Any]
    slots: Sequence[str] = ()
    spreads_faces: bool = False


@dataclass(frozen=True)
class FlowEstimatorEntry:
    """A measure of a video's motion. `make(asked, networks)` is a `control.reference.FlowEstimator`."""

    title: str
    make: Callable[[Asked, "Networks"], Any]
    slots: Sequence[str] = ()


@dataclass(frozen=True)
class SpeechDriverEntry:
    """A way from speech to the motion of a face.

    `make(device, networks, points, found, original)` is a `parts.SpeechDriver` for one face, whose arguments
    are those of `parts.SpeechDrivers`; `device` is the request's, None for the best there is.
    """

    title: str
    make: Callable[..., Any]
    slots: Sequence[str] = ()


@dataclass(frozen=True)
class VideoModelEntry:
    """A video model: its family's settings, its weights, the adapters that can steer it, how it is loaded.

    `load(running)` is a `sampling.video_model.VideoModel`; `adapters` names the slot of each adapter, and
    `preview` that of the small decoder which shows its latents while they are denoised.
    """

    title: str
    settings: type[DiffusionSettings]
    load: "Callable[[Running], Any]"
    slots: Sequence[str] = ()
    adapters: "Sequence[AdapterName]" = ()
    preview: str | None = None
