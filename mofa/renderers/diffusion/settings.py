"""How the diffusion renderer works: a frozen dataclass per family of video models, presets as instances."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BeforeValidator

from mofa.models.names import HintPlacing, KernelName, PictureReduction, StorageName
from mofa.sampling.names import CONSISTENCY_POINTS, Reused, SamplerName

Offload = Literal["none", "model", "block", "stream"]
PrecisionName = Literal["auto", "float32", "float16", "bfloat16"]
Value = TypeVar("Value")


def described(default: Value, description: str) -> Value:
    """A field with its default and what it means: schema, help and tooltips read it from here."""
    return field(default=default, metadata={"description": description})


def listed(value: object) -> object:
    """Names with commas between them, as they are typed on one line, as a list of names."""
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


class SettingError(ValueError):
    """A setting that cannot be: which one, and key and values of what is wrong, as `errors` has them.

    A ValueError, so that pydantic says where in a scene the settings stand.
    """

    def __init__(self, sentence: str, *, setting: str, key: str, **values: str | int | float) -> None:
        super().__init__(sentence)
        self.setting, self.key, self.values = setting, key, values


@dataclass(frozen=True)
class DiffusionSettings:
    """How a video model of any family is run; each family adds what its networks alone are told."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    model: str = described(
        "svd-xt",
        "The image-to-video model; its weights come from `mofa models download`.",
    )
    densifier: str = described(
        "cmp",
        "What spreads hints over the picture: the CMP network, or the picture's edges without weights.",
    )
    cmp_hints: HintPlacing = described(
        "nearest",
        "cut repeats the released demos: hints for CMP are cut off to whole pixels and add up.",
    )
    cmp_picture: PictureReduction = described(
        "smooth",
        "nearest repeats the released demos, which took single pixels of the picture for CMP's 384 x 384.",
    )
    steps: int = described(25, "Denoising steps; more are slower and finer.")
    guidance_lowest: float = described(1.0, "Guidance scale of a window's first frame.")
    guidance_highest: float = described(
        3.0,
        "Guidance scale of a window's last frame; 1 for both is twice as fast.",
    )
    guidance_down_to: float = described(
        0.3,
        "Noise level (sigma) below which guidance stops; 0.3 spares 10 % of the work, 0 guides to the end.",
    )
    sampler: SamplerName = described(
        "euler",
        "How a step is made: euler for models of any kind, consistency for those that need few steps.",
    )
    reuse: int = described(
        1,
        "Every how manyth step is worked out whole, 2, 3 or 5 to spare work; 1 makes all of them whole.",
    )
    reused: Reused = described(
        "deep",
        "What the other steps take over: all but the outermost layers, or the adapters' residuals (milder).",
    )
    guide: Literal["none", "warp"] = described(
        "none",
        "warp lets the warp renderer's clip guide the model (Time-to-Move), with the adapters or without.",
    )
    guide_weak: float = described(
        75.0,
        "Noise level at which a guided clip begins, 75 to 103 for SVD; lower keeps the background stiller.",
    )
    guide_strong: float = described(
        31.0,
        "Noise level down to which what moves follows the guide, 14 to 31 for SVD; lower is more rigid.",
    )
    adapters: bool = described(
        True,
        "Let the adapters steer the model; without them only a guide tells motion, and none is needed.",
    )
    trajectory_strength: float = described(
        0.6,
        "Multiplies the trajectory adapter's residuals; 0 is the plain backbone.",
    )
    landmark_strength: float = described(1.0, "Multiplies the landmark adapter's residuals.")
    window: int = described(25, "Frames denoised together; longer clips are made of overlapping windows.")
    stride: int = described(12, "Frames between the beginnings of two windows.")
    decode_chunk: int = described(8, "Frames decoded together; fewer take less memory.")
    precision: PrecisionName = described(
        "auto",
        "Number format of the networks; auto is float16 on a GPU and float32 elsewhere.",
    )
    device: str | None = described(
        None,
        "Where to compute: cpu, cuda, cuda:1, mps; the best there is when not given.",
    )
    devices: Annotated[tuple[str, ...], BeforeValidator(listed)] = described(
        (),
        "Spread windows and guidance halves over these, a process each; the first one does the rest, too.",
    )
    offload: Offload = described(
        "none",
        "What waits in main memory until it is used: none of it, models, blocks (slowest), or layers that "
        "stream to a CUDA device while it computes.",
    )
    halves_at_once: Literal[1, 2] = described(
        2,
        "2 runs guidance's two halves together, 1 one after the other in less memory.",
    )
    fit_memory: bool = described(
        False,
        "Choose offload, halves_at_once and decode_chunk by the free memory, and go lower where it runs out.",
    )
    storage: StorageName = described(
        "full",
        "float8 keeps the networks' large weights in 8 bits: half the memory, a little less exact, "
        "no faster.",
    )
    attention: KernelName = described(
        "sdpa",
        "The attention kernel: torch's own, or that of flash-attn or sageattention where it is installed.",
    )
    attention_slices: int = described(
        1,
        "Number of slices that attention is computed in; more take less memory and more time.",
    )
    compile: bool = described(
        False,
        "Compile the blocks that networks repeat: a minute or two at the start, faster from then on.",
    )

    def __post_init__(self) -> None:
        self.check_least(steps=1, reuse=1, window=2, stride=1, decode_chunk=1, attention_slices=1)
        if self.reuse > self.steps:
            raise SettingError(
                f"reuse {self.reuse} is more than the {self.steps} steps: use 1, 2, 3 or 5",
                setting="reuse",
                key="value.most",
                bound=self.steps,
            )
        if self.sampler == "consistency" and self.steps > CONSISTENCY_POINTS:
            raise SettingError(
                f"steps is {self.steps}, but sampler consistency takes {CONSISTENCY_POINTS} at most",
                setting="steps",
                key="value.most",
                bound=CONSISTENCY_POINTS,
            )
        if self.devices:
            self.check_devices()
        if not 0 <= self.guide_strong <= self.guide_weak:
            raise SettingError(
                f"guide_strong {self.guide_strong:g} must lie in 0..{self.guide_weak:g} (guide_weak): what "
                "moves follows the guide to a lower noise level than the rest begins at",
                setting="guide_strong",
                key="value.between",
                least=0,
                most=f"{self.guide_weak:g}",
            )
        if not self.guidance_down_to >= 0:
            raise SettingError(
                f"guidance_down_to is {self.guidance_down_to}, but must be 0 or more",
                setting="guidance_down_to",
                key="value.least",
                bound=0,
            )
        if self.stride > self.window - 1:
            raise SettingError(
                f"stride {self.stride} leaves gaps in windows of {self.window}: "
                f"use {self.window - 1} or less",
                setting="stride",
                key="value.most",
                bound=self.window - 1,
            )

    def check_devices(self) -> None:
        """Raises ValueError where `devices` cannot be followed; `device` becomes the first of them."""
        if self.device not in (None, self.devices[0]):
            raise SettingError(
                f"device {self.device} is not the first of devices: leave device out",
                setting="device",
                key="devices.first",
            )
        if self.offload != "none" and len(self.devices) > 1:
            raise SettingError(
                "devices keep their networks to themselves: use offload none with several",
                setting="offload",
                key="devices.offload",
            )
        object.__setattr__(self, "device", self.devices[0])

    def check_least(self, **least: int) -> None:
        """Raises ValueError for a field below the least value that makes sense."""
        for name, bound in least.items():
            value = getattr(self, name)
            if not value >= bound:
                raise SettingError(
                    f"{name} is {value}, but must be {bound} or more",
                    setting=name,
                    key="value.least",
                    bound=bound,
                )


@dataclass(frozen=True)
class SvdSettings(DiffusionSettings):
    """How Stable Video Diffusion and its adapters are run; the defaults are the preset "standard"."""

    conditioning_fps: int = described(
        7,
        "Frame rate that the model is told, apart from the clip's own; the adapters were trained with 7.",
    )
    motion_bucket: int = described(
        128,
        "Amount of motion that the model is told, 0..255; the adapters were trained with 128.",
    )
    noise_strength: float = described(
        0.02,
        "Noise added to the picture before it is encoded, as a deviation on -1..1, and told to the model.",
    )
    normalise_for_clip: bool = described(
        True,
        "Show CLIP the picture as it was trained to see it; the released demos did not.",
    )
    guidance_rows: Literal["own", "mixed"] = described(
        "own",
        "mixed repeats a fault of the released demos: guidance's halves read each other's picture in turn.",
    )
    last_window: Literal["once", "twice"] = described(
        "once",
        "twice repeats the released demos, which count the last window of some lengths (37, 49, ...) again.",
    )
    fit_64: Literal["pad", "crop"] = described(
        "pad",
        "The model wants sides that are multiples of 64: pad the picture and cut that off again, or crop it.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.guidance_rows == "mixed" and self.halves_at_once != 2:
            raise SettingError(
                "guidance_rows mixed needs both halves at once: leave halves_at_once at 2",
                setting="halves_at_once",
                key="guidance.rows",
            )
        self.check_least(conditioning_fps=1, motion_bucket=0, noise_strength=0)


STANDARD = SvdSettings()
PRESETS = {
    "sketch": replace(STANDARD, model="animatelcm", sampler="consistency", steps=4, guidance_highest=1.0),
    "draft": replace(STANDARD, steps=10, guidance_highest=1.0),
    "standard": STANDARD,
    "fine": replace(STANDARD, steps=40),
    "exact": replace(STANDARD, guidance_down_to=0.0),
    "released": replace(
        STANDARD,
        guidance_down_to=0.0,
        normalise_for_clip=False,
        guidance_rows="mixed",
        last_window="twice",
        cmp_hints="cut",
        cmp_picture="nearest",
    ),
}

TRADES = {
    "sketch": "four steps of AnimateLCM, a model made for few: the least work; never tried with the adapters",
    "draft": "ten steps without guidance: a fifth of the work, softer and with less contrast",
    "standard": "25 steps, guided but for the last few, where guidance does nothing that is seen",
    "fine": "40 steps: half as much work again, for fine texture",
    "exact": "25 steps, guided to the end, nothing reused: what the others are measured against",
    "released": "what is known of how the released demos behaved, faults included",
}
"""What each preset gives up for what."""
