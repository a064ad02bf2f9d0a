"""The diffusion renderer from Python, in the manner of diffusers: load once, call often.

pipe = MofaPipeline.from_pretrained("svd-xt")
frames = pipe("photo.jpg", controls=[{"kind": "track", "points": "50%,60% 70%,55%"}]).frames
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.devices import pick_device, pick_dtype
from mofa.pipeline.animate import AnimationResult, animate
from mofa.pipeline.diffusion_engine import cmp_densifier, make_render
from mofa.pipeline.engine import Engines, face_spreader
from mofa.pipeline.inputs import NOTHING, Given, read_inputs
from mofa.pipeline.load import model_from_files, prepare, save_model, saved_files
from mofa.pipeline.networks import Running
from mofa.pipeline.parts import Engine
from mofa.pipeline.request import AnimationRequest, ResolvedRequest
from mofa.pipeline.tables import DENSIFIERS
from mofa.renderers.diffusion.latents import noise_from
from mofa.renderers.diffusion.placement import Placement
from mofa.renderers.diffusion.render import DiffusionModel, InitialNoise
from mofa.renderers.diffusion.settings import STANDARD, DiffusionSettings
from mofa.sampling.sampler import StepCallback, ignore
from mofa.types import AdapterName, Progress, silent
from mofa.weights.store import require


@dataclass(frozen=True)
class PipelineOutput:
    """What a call returns: the frames, and the whole result they belong to."""

    frames: UInt8[Tensor, "T 3 H W"]
    result: AnimationResult


class MofaPipeline:
    """Loaded networks, the settings they are run with, and where they are."""

    def __init__(self, model: DiffusionModel, settings: DiffusionSettings = STANDARD) -> None:
        self.model = model
        self.settings = settings
        self._engines = Engines()
        predicting = [*model.video.networks("predict"), *(half.adapter for half in model.adapters.values())]
        prepare(predicting, Running.of(settings))
        self._place(Placement(pick_device(settings.device), settings.offload))

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path = "svd-xt",
        adapters: Sequence[AdapterName] = ("trajectory",),
        settings: DiffusionSettings = STANDARD,
    ) -> "MofaPipeline":
        """Loads weights: "svd-xt" and the adapters from where `mofa models` keeps them, or a saved folder.

        `settings.precision`, `device` and `offload` say how. Raises WeightsError: they are absent (it says
        how to get them), damaged, or not what the slot needs.
        """
        placement = Placement(pick_device(settings.device), settings.offload)
        dtype = pick_dtype(settings.precision, placement.device)
        if Path(source).is_dir():
            files = saved_files(Path(source))
        else:
            files = require([str(source), *adapters, *DENSIFIERS[settings.densifier].slots])
        return cls(model_from_files(files, placement, dtype), settings)

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes all networks into a folder that `from_pretrained` reads; existing files are refused."""
        save_model(self.model, Path(folder))

    def to(self, device: str | torch.device) -> "MofaPipeline":
        """Moves everything to a device and keeps it there."""
        self._place(Placement(pick_device(str(device))))
        return self

    def enable_model_cpu_offload(self, device: str | None = None) -> None:
        """Keeps on the device only the networks of the stage that is running."""
        self._place(Placement(pick_device(device), "model"))

    def enable_sequential_cpu_offload(self, device: str | None = None) -> None:
        """Keeps on the device only the block that is running: the least memory, and slow."""
        self._place(Placement(pick_device(device), "block"))

    def __call__(
        self,
        image: str | Path | Float[Tensor, "3 h w"],
        controls: Sequence[Any],
        num_frames: int = 25,
        fps: float = 8.0,
        size: tuple[int, int] | None = None,
        fit: Literal["crop", "pad"] = "crop",
        region: Any = None,
        given: Given = NOTHING,
        seed: int = 0,
        num_inference_steps: int | None = None,
        progress: Progress = silent,
        callback_on_step_end: StepCallback = ignore,
        latents: Float[Tensor, "T c rows columns"] | None = None,
        generator: torch.Generator | None = None,
    ) -> PipelineOutput:
        """Animates a picture: a path, or RGB [3, h, w] in 0..1.

        `controls` are those of a scene (see docs/scene.md), as objects or as mappings. `given` holds masks,
        tracks, videos, sound and landmarks in memory, by the names that the controls use in place of a
        file's: `controls=[{"kind": "track", "file": "walk"}], given={"walk": tracks}`. `size` is (width,
        height). `callback_on_step_end(step, latents, clean)` may raise Cancelled. The initial noise, standard
        normal, is `latents`, or drawn from `generator`, or else keyed by the seed. Raises InputError for a
        request that cannot be done.
        """
        noise = noise_from(latents, generator)
        steps = self.settings.steps if num_inference_steps is None else num_inference_steps
        request = AnimationRequest.from_call(
            {
                "picture": None if isinstance(image, Tensor) else str(image),
                "size": size,
                "fit": fit,
                "frames": num_frames,
                "fps": fps,
                "seed": seed,
                "region": region,
                "renderer": "diffusion",
                "diffusion": replace(self.settings, steps=steps),
                "controls": controls,
            }
        )
        inputs = read_inputs(request, progress, image if isinstance(image, Tensor) else None, given)
        result = animate(request, inputs, progress, partial(self._engine, callback_on_step_end, noise))
        assert result.clip is not None
        return PipelineOutput(result.clip.frames, result)

    def _engine(
        self, callback: StepCallback, noise: InitialNoise | None, request: ResolvedRequest, /
    ) -> Engine:
        """The usual engine, with the networks that are at hand."""
        render = make_render(self.model, request, self.placement, callback, noise)
        usual = self._engines.engine(request.model_copy(update={"renderer": "warp"}))
        network = self.model.sparse_to_dense
        if network is None:
            return replace(usual, render=render)
        densify = cmp_densifier(network, self.placement, request.diffusion)
        return replace(usual, render=render, densify=densify, spread_face=face_spreader(densify))

    def _place(self, placement: Placement) -> None:
        self.placement = placement
        placement.settle(*self.model.networks())
