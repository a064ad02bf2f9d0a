"""The diffusion renderer from Python, in the manner of diffusers: load once, call often.

pipe = MofaPipeline.from_pretrained("svd-xt")
frames = pipe("photo.jpg", controls=[{"kind": "track", "points": "50%,60% 70%,55%"}]).frames[0]
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Unpack

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mofa.devices import pick_device, pick_dtype
from mofa.errors import InputError, ResourceError
from mofa.models.attention import set_attention
from mofa.pipeline.animate import Animation, plan
from mofa.pipeline.caller_forms import TOLD_STEP, OutputType, check_names, clips_as, in_memory, noises_of
from mofa.pipeline.diffusion_engine import cmp_densifier, make_render, memory_explained
from mofa.pipeline.engine import Engines, face_spreader
from mofa.pipeline.inputs import NOTHING, Given, read_inputs
from mofa.pipeline.load import is_pipeline_of_ours, model_from_files, prepare, save_model, saved_files
from mofa.pipeline.mofa_adapter import MofaAdapter
from mofa.pipeline.networks import Running
from mofa.pipeline.parts import Engine
from mofa.pipeline.request import AnimationRequest, ResolvedRequest
from mofa.pipeline.tables import DENSIFIERS
from mofa.renderers.diffusion.placement import Placement
from mofa.renderers.diffusion.render import DiffusionModel, InitialNoise, denoise, visited
from mofa.renderers.diffusion.settings import STANDARD, DiffusionSettings, PrecisionName
from mofa.renderers.diffusion.svd import StableVideoDiffusion
from mofa.sampling.sampler import StepCallback, ignore
from mofa.sampling.schedule import timestep_from_sigma
from mofa.types import AdapterName, Progress, silent
from mofa.weights.hub import HubOptions, Pushed, folder_of
from mofa.weights.registry import SLOTS
from mofa.weights.store import require

StepEnd = Callable[["MofaPipeline", int, Tensor, dict[str, Tensor]], "Mapping[str, Tensor] | None"]
"""(pipeline, step, timestep, tensors by name) -> those to go on with: diffusers' `callback_on_step_end`."""

AUTO_SLICES = 2
"""What diffusers means by attention slices "auto": half of the heads at a time."""
PRECISIONS: Mapping[torch.dtype, PrecisionName] = {
    torch.float32: "float32",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
}


@dataclass(frozen=True)
class MofaPipelineOutput:
    """What a call returns.

    `frames` are B clips, by output type: lists of Pillow pictures, an array [B, T, H, W, 3] in 0..1, a tensor
    [B, T, 3, H, W] in 0..1, or latents [B, T, 4, h, w]. `animation` is what they were made of: picture,
    motion, settings, sound, notes.
    """

    frames: Any
    animation: Animation


class MofaPipeline(Pushed):
    """Loaded networks, the settings they are run with, and where they are."""

    def __init__(self, model: DiffusionModel, settings: DiffusionSettings = STANDARD) -> None:
        self.model = model
        self.settings = settings
        self._engines = Engines()
        prepare(self._predicting(), Running.of(settings))
        self._place(Placement(pick_device(settings.device), settings.offload))

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path = "svd-xt",
        adapters: Sequence[AdapterName] = ("trajectory",),
        settings: DiffusionSettings = STANDARD,
        *,
        trajectory: MofaAdapter | None = None,
        landmark: MofaAdapter | None = None,
        torch_dtype: torch.dtype | None = None,
        variant: str | None = None,
        **options: Unpack[HubOptions],
    ) -> "MofaPipeline":
        """Loads a pipeline: a folder of diffusers' form, a repository of the hub ("owner/name"), or "svd-xt".

        "svd-xt" is what `mofa models` keeps. A folder or repository that `save_pretrained` or `push_to_hub`
        wrote is taken as it is; one of Stable Video Diffusion alone is completed from `mofa models` with
        `adapters` and what spreads hints. `trajectory` and `landmark` are adapters that were loaded before,
        and take the place of those. `torch_dtype` is another way to say `settings.precision`, whose `device`
        and `offload` say where. Raises WeightsError: weights are absent (it says how to get them), damaged,
        or not what the slot needs.
        """
        if torch_dtype is not None:
            settings = replace(settings, precision=PRECISIONS[torch_dtype])
        own = {part.name: part.halves for part in (trajectory, landmark) if part is not None}
        wanted = [name for name in adapters if name not in own] + [*DENSIFIERS[settings.densifier].slots]
        if str(source) in {slot.name for slot in SLOTS}:
            files = dict(require([str(source), *wanted]))
        else:
            folder = folder_of(source, variant, "*/*", **options)
            files = dict(saved_files(folder, variant))
            if not is_pipeline_of_ours(folder):
                files |= require([name for name in wanted if name not in files])
        placement = Placement(pick_device(settings.device), settings.offload)
        model = model_from_files(files, placement, pick_dtype(settings.precision, placement.device))
        return cls(replace(model, adapters={**model.adapters, **own}), settings)

    def save_pretrained(self, folder: str | Path, *, variant: str | None = None) -> None:
        """Writes all networks into a folder that `from_pretrained` reads; existing files are refused."""
        save_model(self.model, Path(folder), variant)

    @property
    def components(self) -> dict[str, Any]:
        """The networks by their names in a saved folder; adapters as `MofaAdapter`."""
        video = self.model.video
        parts: dict[str, Any] = {}
        if isinstance(video, StableVideoDiffusion):
            backbone = video.backbone
            parts = {
                "unet": backbone.unet,
                "vae": backbone.vae,
                "image_encoder": backbone.image_encoder,
            }
        parts |= {name: MofaAdapter(name, halves) for name, halves in self.model.adapters.items()}
        if self.model.sparse_to_dense is not None:
            parts["sparse_to_dense"] = self.model.sparse_to_dense
        return parts

    @property
    def device(self) -> torch.device:
        """Where the networks compute."""
        return self.placement.device

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the network that predicts."""
        return next(self.model.video.networks("predict")[0].parameters()).dtype

    def to(self, device: str | torch.device) -> "MofaPipeline":
        """Moves everything to a device and keeps it there."""
        self._place(Placement(pick_device(str(device))))
        return self

    def enable_model_cpu_offload(
        self, gpu_id: int | None = None, device: str | torch.device | None = None
    ) -> None:
        """Keeps on the device only the networks of the stage that is running."""
        self._place(Placement(_device(gpu_id, device), "model"))

    def enable_sequential_cpu_offload(
        self, gpu_id: int | None = None, device: str | torch.device | None = None
    ) -> None:
        """Keeps on the device only the block that is running: the least memory, and slow."""
        self._place(Placement(_device(gpu_id, device), "block"))

    def enable_attention_slicing(self, slice_size: int | Literal["auto", "max"] = "auto") -> None:
        """Computes attention in slices, for less memory and more time: so many heads at once."""
        heads = max(getattr(module, "heads", 1) for net in self._predicting() for module in net.modules())
        sizes = {"auto": -(-heads // AUTO_SLICES), "max": 1}
        size = sizes[slice_size] if isinstance(slice_size, str) else slice_size
        self._attend(slices=-(-heads // size))

    def disable_attention_slicing(self) -> None:
        """Computes attention in one go again."""
        self._attend(slices=1)

    def enable_xformers_memory_efficient_attention(self, attention_op: object = None) -> None:
        """Refused with ResourceError: what the networks use already needs as little memory."""
        raise ResourceError(
            "mofa has no kernel of xformers: torch's own attention, the default, needs as little memory; "
            'settings with attention="flash" or "sage" take flash-attn or sageattention where installed.'
        )

    def disable_xformers_memory_efficient_attention(self) -> None:
        """Nothing to do: xformers is never in use."""

    @torch.no_grad()
    def __call__(
        self,
        image: Any,
        controls: Sequence[Any] = (),
        height: int | None = None,
        width: int | None = None,
        num_frames: int = 25,
        num_inference_steps: int | None = None,
        min_guidance_scale: float | None = None,
        max_guidance_scale: float | None = None,
        fps: float = 8.0,
        motion_bucket_id: int | None = None,
        noise_aug_strength: float | None = None,
        decode_chunk_size: int | None = None,
        num_videos_per_prompt: int = 1,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        latents: Float[Tensor, "B T c h w"] | Float[Tensor, "T c h w"] | None = None,
        output_type: OutputType = "pil",
        callback_on_step_end: StepEnd | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = TOLD_STEP,
        return_dict: bool = True,
        *,
        fit: Literal["crop", "pad"] = "crop",
        region: Any = None,
        given: Given = NOTHING,
        seed: int = 0,
        progress: Progress = silent,
    ) -> MofaPipelineOutput | tuple[Any]:
        """Animates a picture. What diffusers' `StableVideoDiffusionPipeline` takes means the same here.

        Args:
            image: a path, a Pillow picture, or RGB [3, H, W] or [1, 3, H, W] in 0..1.
            controls: what moves, as in a scene (docs/scene.md): objects or mappings.
            height, width: of the clip, both or neither; without them the picture's own, 1280 at most.
            num_frames: length of the clip, the picture included.
            num_inference_steps, min_guidance_scale, max_guidance_scale, motion_bucket_id,
                noise_aug_strength, decode_chunk_size: in place of the pipeline's settings for this call.
            fps: the clip's own rate. What the model is told is `settings.conditioning_fps`, with which the
                adapters were trained.
            num_videos_per_prompt: so many clips, of other noise each.
            generator: draws the initial noise; a list has one for each clip. Without it, and without latents,
                noise is keyed by `seed` and the clip's number.
            latents: the initial noise itself, standard normal, of one clip or of all.
            output_type: "pil", "np", "pt" or "latent" (see `MofaPipelineOutput`); latents are not decoded.
            callback_on_step_end: called as (pipe, step, timestep, {"latents": ...}) after every step; latents
                in what it returns replace the clip's. It may raise `mofa.errors.Cancelled`.
            callback_on_step_end_tensor_inputs: which tensors it is shown; "latents" is there.
            return_dict: whether to return a `MofaPipelineOutput`, or `(frames,)`.
            fit: how a picture of another aspect meets height and width.
            region: what may move at all, as in a scene.
            given: masks, tracks, videos, sound and landmarks in memory, by the names that the controls use in
                place of a file's: `controls=[{"kind": "track", "file": "walk"}], given={"walk": tracks}`.
            seed: of the noise, and of controls that need chance.
            progress: hears of every stage.

        Raises InputError for a request that cannot be done.

        Example:
            >>> from mofa import MofaPipeline
            >>> pipe = MofaPipeline.from_pretrained("svd-xt", torch_dtype=torch.float16)
            >>> pipe.enable_model_cpu_offload()
            >>> drag = {"kind": "track", "points": "50%,60% 70%,55%"}
            >>> frames = pipe("photo.jpg", controls=[drag], num_frames=25).frames[0]
            >>> frames[0].save("clip.gif", save_all=True, append_images=frames[1:], duration=125, loop=0)
        """
        check_names(callback_on_step_end_tensor_inputs)
        asked: dict[str, Any] = {
            "steps": num_inference_steps,
            "guidance_lowest": min_guidance_scale,
            "guidance_highest": max_guidance_scale,
            "motion_bucket": motion_bucket_id,
            "noise_strength": noise_aug_strength,
            "decode_chunk": decode_chunk_size,
        }
        settings = replace(
            self.settings, **{name: value for name, value in asked.items() if value is not None}
        )
        if (height is None) != (width is None):
            raise InputError("height and width belong together: give both, or neither.")
        picture = in_memory(image)
        request = AnimationRequest.from_call(
            {
                "picture": str(image) if picture is None else None,
                "size": None if width is None else (width, height),
                "fit": fit,
                "frames": num_frames,
                "fps": fps,
                "seed": seed,
                "region": region,
                "renderer": "diffusion",
                "diffusion": settings,
                "controls": controls,
            }
        )
        noises = list(noises_of(generator, latents, num_videos_per_prompt))
        animation = plan(request, read_inputs(request, progress, picture, given), progress, self._engine)
        callback = ignore if callback_on_step_end is None else self._told(callback_on_step_end, settings)
        clips = (
            self._clip(animation, seed + number, noise, output_type, callback, progress)
            for number, noise in enumerate(noises)
        )
        frames = clips_as(output_type, clips)
        return MofaPipelineOutput(frames, animation) if return_dict else (frames,)

    def _clip(
        self,
        animation: Animation,
        seed: int,
        noise: InitialNoise | None,
        output_type: OutputType,
        callback: StepCallback,
        progress: Progress,
    ) -> Tensor:
        """One clip: frames of bytes [T, 3, H, W], or its latents [T, c, h, w]."""
        asked = animation.settings.model_copy(update={"seed": seed})
        source, motion = animation.source, animation.motion.plan
        if output_type != "latent":
            render = make_render(self.model, asked, self.placement, callback, noise)
            return torch.stack(list(render(source, motion, progress)))
        with memory_explained(asked.diffusion, source):
            latents = denoise(
                source, motion, self.model, asked.diffusion, self.placement, seed, progress, callback, noise
            )
        return latents[: len(latents) - asked.loop]

    def _told(self, callback: StepEnd, settings: DiffusionSettings) -> StepCallback:
        timesteps = timestep_from_sigma(visited(settings).sigmas[:-1])

        def tell(step: int, latents: Tensor, clean: Tensor, /) -> Tensor | None:
            shown = {"latents": latents[None]}
            answer = callback(self, step, timesteps[step], shown) or {}
            replaced = answer.get("latents")
            return None if replaced is None else replaced.reshape(latents.shape).to(latents)

        return tell

    def _engine(self, request: ResolvedRequest, /) -> Engine:
        """The usual engine, with the network for hints that is at hand."""
        usual = self._engines.engine(request.model_copy(update={"renderer": "warp"}))
        network = self.model.sparse_to_dense
        if network is None:
            return usual
        densify = cmp_densifier(network, self.placement, request.diffusion)
        return replace(usual, densify=densify, spread_face=face_spreader(densify))

    def _predicting(self) -> list[nn.Module]:
        return [
            *self.model.video.networks("predict"),
            *(half.adapter for half in self.model.adapters.values()),
        ]

    def _attend(self, slices: int) -> None:
        self.settings = replace(self.settings, attention_slices=slices)
        for network in self._predicting():
            set_attention(network, self.settings.attention, slices)

    def _place(self, placement: Placement) -> None:
        self.placement = placement
        placement.settle(*self.model.networks())


def _device(gpu_id: int | None, device: str | torch.device | None) -> torch.device:
    if gpu_id is not None:
        return pick_device(f"cuda:{gpu_id}")
    return pick_device(None if device is None else str(device))
