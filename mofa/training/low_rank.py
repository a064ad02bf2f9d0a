"""Fine-tuning an adapter by a low rank (LoRA): few numbers are trained, and the rest stays as released."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from mofa.errors import InputError, ResourceError
from mofa.models.motion_adapter import MotionAdapter
from mofa.models.motion_encoder import MotionEncoder

LAYERS = (
    "*attn*.to_*",
    "*ff*.net.*",
    "*.proj_in",
    "*.proj_out",
    "controlnet_down_blocks.*",
    "controlnet_mid_block",
)
"""The trunk's attentions and feed-forwards, and what it adds to the backbone."""


@dataclass(frozen=True)
class LowRankSettings:
    """A low-rank change, trained in place of the adapter's own weights."""

    rank: int = 4
    alpha: float | None = None
    """What rank divides: the change counts alpha / rank; null is the rank, so that it counts once."""
    layers: tuple[str, ...] = LAYERS
    """Linear layers and convolutions that are changed, by name; * stands for anything."""

    @property
    def factor(self) -> float:
        """Alpha, settled."""
        return float(self.rank) if self.alpha is None else self.alpha


def add_low_rank(encoder: MotionEncoder, adapter: MotionAdapter, settings: LowRankSettings) -> None:
    """Puts factors into both halves of an adapter, which begin as no change; they alone ask for gradients.

    Raises ResourceError without peft, InputError where no layer is meant.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ResourceError(
            "objective.lora needs peft: `pip install 'mofa-video[training]'`, or train without it."
        ) from error
    if settings.rank < 1:
        raise InputError(f"objective.lora.rank is {settings.rank}: a rank is 1 or more.")
    halves: tuple[nn.Module, ...] = (encoder, adapter)
    found = [changed_layers(half, settings.layers) for half in halves]
    if not any(found):
        raise InputError(
            f"objective.lora.layers ({', '.join(settings.layers)}) means no layer of the adapter: see the "
            "names that --dry-run prints."
        )
    for half, names in zip(halves, found, strict=True):
        half.requires_grad_(False)
        if names:
            config = LoraConfig(r=settings.rank, lora_alpha=settings.factor, target_modules=names)
            inject_adapter_in_model(config, half)


def changed_layers(half: nn.Module, patterns: tuple[str, ...]) -> list[str]:
    """The layers of a network that the patterns mean, and that a low rank can change."""
    return [
        name
        for name, module in half.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d)
        and any(fnmatchcase(name, pattern) for pattern in patterns)
    ]
