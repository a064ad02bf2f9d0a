"""AniPortrait's two speech networks (arXiv 2403.17694): speech to face mesh, speech to head pose.

Both begin with a wav2vec 2.0 encoder of their own, whose convolutional features are stretched to one per
video frame. Module names are those of the released checkpoints.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformers import Wav2Vec2Config, Wav2Vec2Model

MESH_POINTS = 468
LONGEST = 600
"""Frames that the pose network has positions for."""


@dataclass(frozen=True)
class SpeechNetworkConfig:
    """Sizes; the defaults are the released ones. `encoder` holds what differs from wav2vec 2.0 base."""

    channels: int = 512
    heads: int = 8
    layers: int = 8
    speakers: int = 100
    encoder: tuple[tuple[str, int | tuple[int, ...]], ...] = ()

    def wav2vec2(self) -> Wav2Vec2Config:
        """The encoder's own configuration."""
        return Wav2Vec2Config(**dict(self.encoder))


class SpeechNetwork(nn.Module):
    """What both networks share: sound to one feature per video frame."""

    def __init__(self, config: SpeechNetworkConfig) -> None:
        super().__init__()
        encoder = config.wav2vec2()
        self.audio_encoder = Wav2Vec2Model(encoder)
        self.in_fn = nn.Linear(encoder.hidden_size, config.channels)

    def encode_speech(self, speech: Float[Tensor, "1 L"], num_frames: int) -> Float[Tensor, "1 T C"]:
        """`speech`: 16 kHz, normalised (see `normalised`), at least 400 samples. T is `num_frames`."""
        encoder = self.audio_encoder
        features = encoder.feature_extractor(speech)
        per_frame = F.interpolate(features, num_frames, mode="linear", align_corners=True)
        projected, _ = encoder.feature_projection(per_frame.transpose(1, 2))
        return self.in_fn(encoder.encoder(projected).last_hidden_state)


class SpeechToMesh(SpeechNetwork):
    """Speech to the face's shape."""

    def __init__(self, config: SpeechNetworkConfig) -> None:
        super().__init__(config)
        self.out_fn = nn.Linear(config.channels, 3 * MESH_POINTS)

    def forward(self, speech: Float[Tensor, "1 L"], num_frames: int) -> Float[Tensor, "1 T 468 3"]:
        """How far each point of the metric mesh is from its place in the given face, in centimetres."""
        return self.out_fn(self.encode_speech(speech, num_frames)).unflatten(-1, (MESH_POINTS, 3))


class Positions(nn.Module):
    """Holds a vector per frame that tells when it is."""

    pe: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("pe", torch.zeros(1, LONGEST, channels))


class SpeechToPose(SpeechNetwork):
    """Speech to head motion, frame after frame, in the manner of one of the speakers it was trained with."""

    def __init__(self, config: SpeechNetworkConfig) -> None:
        super().__init__(config)
        self.heads = config.heads
        self.pose_map = nn.Linear(6, config.channels)
        self.PPE = Positions(config.channels)
        layer = nn.TransformerDecoderLayer(
            config.channels, config.heads, dim_feedforward=2 * config.channels, batch_first=True
        )
        self.transformer_decoder = nn.TransformerDecoder(layer, config.layers)
        self.pose_map_r = nn.Linear(config.channels, 6)
        self.id_embed = nn.Embedding(config.speakers, config.channels)

    def forward(self, speech: Float[Tensor, "1 L"], num_frames: int, speaker: int) -> Float[Tensor, "1 T 6"]:
        """Rotations in degrees about x, y, z, then a translation in centimetres; at most `LONGEST` frames.

        Each frame's pose follows from all earlier ones, beginning with none, and from its own
        moment's speech features.
        """
        speech_features = self.encode_speech(speech, num_frames)
        manner = self.id_embed.weight[speaker]
        layers = self.transformer_decoder.layers
        # What every layer has been given so far: the past never changes, so it is not worked out again.
        past = [speech_features[:, :0] for _ in layers]
        pose, poses = speech_features.new_zeros(1, 1, 6), []
        for frame in range(num_frames):
            x = self.pose_map(pose) + manner + self.PPE.pe[:, frame, None]
            nearness = recency(frame + 1, self.heads).to(x)
            for index, layer in enumerate(layers):
                past[index] = torch.cat([past[index], x], dim=1)
                x = decoded(layer, x, past[index], speech_features[:, frame, None], nearness)
            pose = self.pose_map_r(x)
            poses.append(pose)
        return torch.cat(poses, dim=1)


def decoded(
    layer: nn.TransformerDecoderLayer,
    x: Float[Tensor, "1 1 C"],
    past: Float[Tensor, "1 t C"],
    speech_features: Float[Tensor, "1 1 C"],
    nearness: Float[Tensor, "heads 1 t"],
) -> Float[Tensor, "1 1 C"]:
    """One frame through one decoder layer: it sees its past, itself included, and hears itself alone."""
    attended, _ = layer.self_attn(x, past, past, attn_mask=nearness, need_weights=False)
    x = layer.norm1(x + attended)
    cross_attended, _ = layer.multihead_attn(x, speech_features, speech_features, need_weights=False)
    x = layer.norm2(x + cross_attended)
    return layer.norm3(x + layer.linear2(F.relu(layer.linear1(x))))


def recency(count: int, heads: int) -> Float[Tensor, "heads 1 t"]:
    """What the last of `count` frames adds to its attention scores: less for older ones (ALiBi, section 3).

    Head h of H takes 2^(-8 (h + 1) / H) off per frame of age.
    """
    age = torch.arange(count - 1, -1, -1, dtype=torch.float32)
    slope = 2.0 ** (-8 * torch.arange(1, heads + 1) / heads)
    return -slope[:, None, None] * age


def normalised(speech: Float[Tensor, " L"]) -> Float[Tensor, " L"]:
    """Mean 0 and variance 1, as wav2vec 2.0 was trained; silence stays silence."""
    return (speech - speech.mean()) / (speech.var(correction=0) + 1e-7).sqrt()
