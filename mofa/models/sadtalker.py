"""SadTalker's networks that make a face move (arXiv 2211.12194): its expression, its pose, its rest.

They speak in coefficients of a face model: 64 for the expression, 3 angles, 3 translations. Module names are
those of the released checkpoint, whose renderer is not needed here.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mofa.models.sparse_to_dense import residual_stage

MEL_BINS, MEL_COLUMNS = 80, 16
"""The piece of spectrogram that a frame hears."""
POSE_CHUNK, POSE_LATENT, POSE_STYLES = 32, 64, 46
"""Frames that the pose network makes at once, its noise, and the manners it knows."""
IDENTITY, EXPRESSION, TEXTURE, POSE = 80, 64, 80, 6
"""Coefficients of the face model, in the released files' order."""


class SpeechConvolution(nn.Module):
    """Convolution, batch norm, ReLU; with the input added where both have the same size."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int | tuple[int, int] = 1,
        kernel: int = 3,
        padding: int = 1,
    ) -> None:
        super().__init__()
        self.residual = in_channels == out_channels and kernel == 3
        self.conv_block = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, kernel, stride, padding), nn.BatchNorm2d(out_channels)
        )

    def forward(self, x: Float[Tensor, "T _ _ _"]) -> Float[Tensor, "T _ _ _"]:
        y = self.conv_block(x)
        return F.relu(y + x) if self.residual else F.relu(y)


def speech_encoder() -> nn.Sequential:
    """Spectrogram pieces [T, 1, 80, 16] to features [T, 512, 1, 1]."""
    conv = SpeechConvolution
    return nn.Sequential(
        conv(1, 32), conv(32, 32), conv(32, 32),
        conv(32, 64, stride=(3, 1)), conv(64, 64), conv(64, 64),
        conv(64, 128, stride=3), conv(128, 128), conv(128, 128),
        conv(128, 256, stride=(3, 2)), conv(256, 256),
        conv(256, 512, padding=0), conv(512, 512, kernel=1, padding=0),
    )  # fmt: skip


class SpeechToExpression(nn.Module):
    """What is heard in a frame, the picture's expression and how far the eyes are shut to an expression."""

    def __init__(self) -> None:
        super().__init__()
        self.audio_encoder = speech_encoder()
        self.mapping1 = nn.Linear(512 + EXPRESSION + 1, EXPRESSION)

    def forward(
        self,
        mel: Float[Tensor, "T 1 80 16"],
        reference: Float[Tensor, "64"],
        blink: Float[Tensor, "T 1"],
    ) -> Float[Tensor, "T 64"]:
        speech = self.audio_encoder(mel).flatten(1)
        return self.mapping1(torch.cat([speech, reference.expand(len(mel), -1), blink], dim=1))


class PreactivatedConvolutions(nn.Module):
    """Two convolutions behind batch norm and ReLU, beside a shortcut (ResUNet, arXiv 1711.10684)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int | tuple[int, int]) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.BatchNorm2d(in_channels), nn.ReLU(),
            nn.Conv2d(in_channels, out_channels, 3, stride, padding=1),
            nn.BatchNorm2d(out_channels), nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
        )  # fmt: skip
        self.conv_skip = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride, padding=1), nn.BatchNorm2d(out_channels)
        )

    def forward(self, x: Float[Tensor, "1 _ _ _"]) -> Float[Tensor, "1 _ _ _"]:
        return self.conv_block(x) + self.conv_skip(x)


class Doubling(nn.Module):
    """Twice as many frames."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(channels, channels, (2, 1), (2, 1))

    def forward(self, x: Float[Tensor, "1 _ _ _"]) -> Float[Tensor, "1 _ _ _"]:
        return self.upsample(x)


class PoseSmoother(nn.Module):
    """A UNet over time that lets poses of a chunk agree with each other."""

    def __init__(self) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1)
        )
        self.input_skip = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1))
        self.residual_conv_1 = PreactivatedConvolutions(32, 64, (2, 1))
        self.residual_conv_2 = PreactivatedConvolutions(64, 128, (2, 1))
        self.bridge = PreactivatedConvolutions(128, 256, (2, 1))
        self.upsample_1 = Doubling(256)
        self.up_residual_conv1 = PreactivatedConvolutions(256 + 128, 128, 1)
        self.upsample_2 = Doubling(128)
        self.up_residual_conv2 = PreactivatedConvolutions(128 + 64, 64, 1)
        self.upsample_3 = Doubling(64)
        self.up_residual_conv3 = PreactivatedConvolutions(64 + 32, 32, 1)
        self.output_layer = nn.Sequential(nn.Conv2d(32, 1, 1), nn.Sigmoid())

    def forward(self, x: Float[Tensor, "1 1 t 6"]) -> Float[Tensor, "1 1 t 6"]:
        whole = self.input_layer(x) + self.input_skip(x)
        half = self.residual_conv_1(whole)
        quarter = self.residual_conv_2(half)
        y = self.upsample_1(self.bridge(quarter))
        y = self.upsample_2(self.up_residual_conv1(torch.cat([y, quarter], dim=1)))
        y = self.upsample_3(self.up_residual_conv2(torch.cat([y, half], dim=1)))
        return self.output_layer(self.up_residual_conv3(torch.cat([y, whole], dim=1)))


class PoseDecoder(nn.Module):
    """The half of a conditional variational autoencoder that makes poses from noise and speech."""

    def __init__(self) -> None:
        super().__init__()
        self.resunet = PoseSmoother()
        self.MLP = nn.ModuleDict(
            {
                "L0": nn.Linear(POSE + POSE_LATENT + POSE_CHUNK * POSE, 128),
                "L1": nn.Linear(128, POSE_CHUNK * POSE),
            }
        )
        self.pose_linear = nn.Linear(POSE, POSE)
        self.linear_audio = nn.Linear(512, POSE)
        self.classbias = nn.Parameter(torch.zeros(POSE_STYLES, POSE_LATENT))

    def forward(
        self,
        reference: Float[Tensor, "6"],
        latent: Float[Tensor, "64"],
        style: int,
        speech: Float[Tensor, "32 512"],
    ) -> Float[Tensor, "32 6"]:
        """How the pose of each frame differs from the reference."""
        condition = torch.cat(
            [reference, latent + self.classbias[style], self.linear_audio(speech).flatten()]
        )
        poses = self.MLP["L1"](self.MLP["L0"](condition).relu()).sigmoid().unflatten(0, (POSE_CHUNK, POSE))
        return self.pose_linear(self.resunet(poses[None, None])[0, 0])


class PoseGenerator(nn.Module):
    """The autoencoder, of which only the decoder is used."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = PoseDecoder()


class PoseSpeechEncoder(nn.Module):
    """The pose network's own ear."""

    def __init__(self) -> None:
        super().__init__()
        self.audio_encoder = speech_encoder()

    def forward(self, mel: Float[Tensor, "T 1 80 16"]) -> Float[Tensor, "T 512"]:
        return self.audio_encoder(mel).flatten(1)


class SpeechToPose(nn.Module):
    """Speech and noise to head motion, in chunks of `POSE_CHUNK` frames that know nothing of each other."""

    def __init__(self) -> None:
        super().__init__()
        self.audio_encoder = PoseSpeechEncoder()
        self.netG = PoseGenerator()

    def forward(
        self,
        mel: Float[Tensor, "T 1 80 16"],
        reference: Float[Tensor, "6"],
        latents: Float[Tensor, "chunks 64"],
        style: int,
    ) -> Float[Tensor, "T 6"]:
        """Angles and translations. Frame 0 is the reference; the chunks' `latents` may be more than needed.

        The last chunk is the last 32 frames, of which the new ones are kept; where there are fewer frames
        in all, the first one is heard repeatedly before them.
        """
        later = mel[1:]
        motion = [reference.new_zeros(1, POSE)]
        for chunk, latent in zip(later.split(POSE_CHUNK), latents, strict=False):
            new = len(chunk)
            speech = self.audio_encoder(chunk if new == POSE_CHUNK else later[-POSE_CHUNK:])
            speech = torch.cat([speech[:1].expand(POSE_CHUNK - len(speech), -1), speech])
            motion.append(self.netG.decoder(reference, latent, style, speech)[-new:])
        return reference + torch.cat(motion)


def num_pose_chunks(num_frames: int) -> int:
    """How many latents `SpeechToPose` needs for so many frames."""
    return -(-(num_frames - 1) // POSE_CHUNK)


class FaceTrunk(nn.Module):
    """ResNet-50 without its classifier: a picture to 2048 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = residual_stage(64, 64, 3, stride=1, dilation=1)
        self.layer2 = residual_stage(256, 128, 4, stride=2, dilation=1)
        self.layer3 = residual_stage(512, 256, 6, stride=2, dilation=1)
        self.layer4 = residual_stage(1024, 512, 3, stride=2, dilation=1)

    def forward(self, picture: Float[Tensor, "1 3 224 224"]) -> Float[Tensor, "1 2048 1 1"]:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(picture))), 3, 2, padding=1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean(dim=(2, 3), keepdim=True)


class FaceReconstruction(nn.Module):
    """A face in a picture to the coefficients of the face model (arXiv 1903.08527)."""

    HEADS = (IDENTITY, EXPRESSION, TEXTURE, 3, 27, 2, 1)
    """Identity, expression, texture, angles, light, shift in the picture, shift in depth."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = FaceTrunk()
        self.final_layers = nn.ModuleList(nn.Conv2d(2048, count, 1) for count in self.HEADS)

    def forward(self, picture: Float[Tensor, "1 3 224 224"]) -> Float[Tensor, "257"]:
        """`picture`: RGB 0..1, the face placed as `faces.drivers.sadtalker.align` does it."""
        features = self.backbone(picture)
        return torch.cat([head(features).flatten() for head in self.final_layers])


class SadTalkerNetworks(nn.Module):
    """All that is needed of the released file, under its own names."""

    def __init__(self) -> None:
        super().__init__()
        self.audio2exp = SpeechToExpression()
        self.audio2pose = SpeechToPose()
        self.face_3drecon = FaceReconstruction()
