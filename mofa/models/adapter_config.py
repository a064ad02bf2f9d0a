"""The sizes of a motion-field adapter, as its config.json states them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mofa.errors import WeightsError
from mofa.models.norms import NORMALISED_FIELD

RELEASED_CLASS = "FlowControlNet"
RELEASED_WIDTHS, RELEASED_HEADS = (320, 640, 1280, 1280), (5, 10, 10, 20)
"""The released class ignored num_attention_heads, in training and inference alike: these are what its
weights mean, whatever their config.json says."""
OWN_MARK = "_heads_as_stated"
"""In the config.json of an adapter that mofa wrote: its head counts are what they say."""


@dataclass(frozen=True)
class AdapterConfig:
    """The adapter's trunk and conditioning branches; the defaults are SVD-XT's geometry.

    `num_attention_heads` changes what the trunk computes without changing a single weight's shape: it has
    no default. The widths that config.json does not list (landmark drawing, matting) are the released
    landmark adapter's.
    """

    num_attention_heads: tuple[int, ...]
    in_channels: int = 8
    down_block_types: tuple[str, ...] = (
        "CrossAttnDownBlockSpatioTemporal",
        "CrossAttnDownBlockSpatioTemporal",
        "CrossAttnDownBlockSpatioTemporal",
        "DownBlockSpatioTemporal",
    )
    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    layers_per_block: tuple[int, ...] = (2, 2, 2, 2)
    transformer_layers_per_block: tuple[int, ...] = (1, 1, 1, 1)
    cross_attention_dim: tuple[int, ...] = (1024, 1024, 1024, 1024)
    addition_time_embed_dim: int = 256
    projection_class_embeddings_input_dim: int = 768
    conditioning_channels: int = 3
    conditioning_embedding_out_channels: tuple[int, ...] = (16, 32, 96, 256)
    sketch_embedding_out_channels: tuple[int, ...] = (16, 32, 64, 128)
    matting_channels: int = 64
    normalised: bool = True
    reads_region: bool = False
    """Whether it is told where a person painted that things may move; no released adapter is."""

    @property
    def num_blocks(self) -> int:
        """How many down blocks the trunk has; the feature pyramid has as many levels."""
        return len(self.block_out_channels)


PER_BLOCK = ("num_attention_heads", "layers_per_block", "transformer_layers_per_block", "cross_attention_dim")
LISTS = (
    *PER_BLOCK,
    "down_block_types",
    "block_out_channels",
    "conditioning_embedding_out_channels",
    "sketch_embedding_out_channels",
)
NUMBERS = (
    "in_channels",
    "addition_time_embed_dim",
    "projection_class_embeddings_input_dim",
    "conditioning_channels",
    "matting_channels",
)
YES_OR_NO = {NORMALISED_FIELD: True, "reads_region": False}
"""Fields that no other program knows, and what they are where a config.json leaves them out."""
DOWN_BLOCKS = ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal")
# What the class declares but an encoder without a decoder never uses.
UNUSED = ("sample_size", "out_channels", "up_block_types", "num_frames")


def read_adapter_config(values: Mapping[str, Any], source: str) -> AdapterConfig:
    """The config that a parsed config.json states; `source` names the file in messages.

    Numbers stand for one value per block, as diffusers writes them. The head counts of a released adapter
    are those it was trained with (`RELEASED_HEADS`), whatever the file says. Raises WeightsError when it
    describes another class, lacks the head counts, holds unknown fields, or contradicts itself.
    """
    class_name = values.get("_class_name")
    if class_name != RELEASED_CLASS:
        described = f'describes a "{class_name}", not' if class_name else "does not describe"
        raise WeightsError(
            f'{source} {described} a motion-field adapter ("{RELEASED_CLASS}"): '
            "name the adapter's own folder."
        )
    fields = {name: value for name, value in values.items() if not name.startswith("_")}
    widths = fields.get("block_out_channels", RELEASED_WIDTHS)
    if not values.get(OWN_MARK) and tuple(widths if _has_form("block_out_channels", widths) else ()) == (
        RELEASED_WIDTHS
    ):
        fields["num_attention_heads"] = list(RELEASED_HEADS)
    if "num_attention_heads" not in fields:
        raise WeightsError(
            f"{source} has no num_attention_heads, which no other file can tell: take the released one."
        )
    unknown = sorted(fields.keys() - {*LISTS, *NUMBERS, *UNUSED, *YES_OR_NO})
    if unknown:
        raise WeightsError(f"{source} has fields this adapter does not know: {', '.join(unknown[:3])}.")
    num_blocks = len(widths) if _has_form("block_out_channels", widths) else 0
    known = {name: value for name, value in fields.items() if name not in UNUSED}
    for name in PER_BLOCK:
        if _is_size(known.get(name)):
            known[name] = [known[name]] * num_blocks
    for name, value in known.items():
        if not _has_form(name, value):
            raise WeightsError(
                f"{source} has {name} = {value!r}, which is no size: take the released config.json."
            )
    sizes: dict[str, Any] = {n: tuple(value) if n in LISTS else value for n, value in known.items()}
    config = AdapterConfig(**sizes)
    for name in (*PER_BLOCK, "down_block_types"):
        if len(getattr(config, name)) != num_blocks:
            raise WeightsError(
                f"{source} lists {len(getattr(config, name))} values of {name} for {num_blocks} blocks: "
                "take the released config.json."
            )
    return config


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _has_form(name: str, value: object) -> bool:
    """Whether a field's value is of the kind that its name asks for."""
    if name in YES_OR_NO:
        return isinstance(value, bool)
    if name in NUMBERS:
        return _is_size(value)
    if not isinstance(value, list | tuple) or not value:
        return False
    if name == "down_block_types":
        return all(kind in DOWN_BLOCKS for kind in value)
    return all(map(_is_size, value))


def released_fields(config: AdapterConfig) -> dict[str, Any]:
    """The config as a config.json holds it; `read_adapter_config` takes it back."""
    fields = {name: value for name, value in asdict(config).items() if value is not YES_OR_NO.get(name)}
    return {"_class_name": RELEASED_CLASS, OWN_MARK: True} | fields
