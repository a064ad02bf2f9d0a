"""Loaded networks, kept and shared: each is built once for all that it depends on, and for nothing else."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, TypeVar, cast

import torch

from mofa.devices import can_overlap, pick_device, pick_dtype
from mofa.errors import ResourceError
from mofa.models.names import KernelName, StorageName
from mofa.renderers.diffusion.placement import Placement
from mofa.renderers.diffusion.settings import DiffusionSettings, Offload

Network = TypeVar("Network")


@dataclass(frozen=True)
class Running:
    """How networks compute, which is part of what they are: another of these asks for other networks.

    `model` is the video model that they belong to, empty for networks that serve any.
    """

    device: torch.device
    dtype: torch.dtype = torch.float32
    offload: Offload = "none"
    model: str = ""
    storage: StorageName = "full"
    attention: KernelName = "sdpa"
    attention_slices: int = 1
    compile: bool = False

    @classmethod
    def of(cls, settings: DiffusionSettings) -> "Running":
        """How a video model and its adapters run; a device or a precision left open is chosen here.

        Raises ResourceError where weights are to stream to a device that cannot compute meanwhile.
        """
        device = pick_device(settings.device)
        if settings.offload == "stream" and not can_overlap(device):
            raise ResourceError(
                f"--offload stream copies weights while a CUDA device computes, and this is {device}: "
                "use --offload block.",
                key="offload.device",
                name=str(device),
            )
        return cls(
            device=device,
            dtype=pick_dtype(settings.precision, device),
            offload=settings.offload,
            model=settings.model,
            storage=settings.storage,
            attention=settings.attention,
            attention_slices=settings.attention_slices,
            compile=settings.compile,
        )

    @property
    def placement(self) -> Placement:
        """Where the networks are while they work."""
        return Placement(self.device, self.offload)

    @property
    def small(self) -> "Running":
        """How the small networks beside a video model run: in float32, in the same place."""
        return Running(self.device, offload=self.offload)


@dataclass
class Networks:
    """The networks that have been built, by what they are for, their name, and how they run.

    When one has to be built, those of the same purpose that run in another way go first: two video models
    seldom fit into one memory. `built` names everything that was ever built, in order. Safe to use from
    several threads, of which one builds at a time.
    """

    built: list[str] = field(default_factory=list)
    _kept: dict[tuple[str, str, Running], Any] = field(default_factory=dict)
    _lock: Any = field(default_factory=RLock)

    def get(self, purpose: str, name: str, running: Running, build: Callable[[], Network]) -> Network:
        """The network of that name that runs so, built where there is none yet."""
        key = purpose, name, running
        with self._lock:
            if key not in self._kept:
                self._kept = {
                    other: network
                    for other, network in self._kept.items()
                    if other[0] != purpose or other[2] == running
                }
                self._kept[key] = build()
                self.built.append(name)
            return cast("Network", self._kept[key])
