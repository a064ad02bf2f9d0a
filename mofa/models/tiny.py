"""The networks at toy size: every class and connection of the released ones, in a thousandth of the weights.

For tests and for comparing a machine with itself; random weights, pictures of 64 x 64. The backbone's toy
sizes are `svd_xt.TOY`.
"""

from mofa.models.adapter_config import AdapterConfig
from mofa.models.aniportrait import SpeechNetworkConfig
from mofa.models.sparse_to_dense import SparseToDenseConfig
from mofa.models.svd_xt import TOY
from mofa.models.unimatch import ScaleConfig, UniMatchConfig

TINY_ADAPTER = AdapterConfig(
    num_attention_heads=TOY.attention_heads,
    block_out_channels=TOY.unet_widths,
    cross_attention_dim=(TOY.embedding_width,) * 4,
    addition_time_embed_dim=TOY.time_id_width,
    projection_class_embeddings_input_dim=3 * TOY.time_id_width,
    conditioning_embedding_out_channels=(4, 4, 8, 8),
    sketch_embedding_out_channels=(4, 4, 8, 8),
    matting_channels=8,
)
"""Both adapters' sizes, beside a backbone of `svd_xt.TOY`."""

TINY_SPARSE_TO_DENSE = SparseToDenseConfig(side=64, width=8, blocks=(1, 1, 1, 1))
"""CMP on a 64 x 64 grid."""

TINY_UNIMATCH = UniMatchConfig(
    channels=16,
    stem=8,
    num_layers=2,
    scales=(ScaleConfig(2, None, None), ScaleConfig(4, 2, 1)),
    refinement_radius=2,
    num_refinements=2,
)
"""Optical flow for sides that are multiples of 32."""

TINY_SPEECH_NETWORK = SpeechNetworkConfig(
    channels=16,
    heads=2,
    layers=2,
    encoder=(
        ("hidden_size", 24),
        ("num_hidden_layers", 1),
        ("num_attention_heads", 2),
        ("intermediate_size", 32),
        ("conv_dim", (8,) * 7),
        ("num_conv_pos_embeddings", 8),
        ("num_conv_pos_embedding_groups", 2),
    ),
)
"""AniPortrait's networks, with every convolution of wav2vec 2.0."""
