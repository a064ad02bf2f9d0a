"""How networks from nothing begin, so that they learn in minutes what random ones learn in hours."""

import torch
from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import Downsample2D, ResnetBlock2D, TemporalResnetBlock, Upsample2D
from torch import nn

from mofa.models.motion_encoder import PictureEmbedding

LATENT_GAIN = 6.0
"""Brings the latents of a VAE that has learned nothing to a deviation of about 1."""

SILU_GAIN = 1.8
"""Makes up for what a SiLU takes from numbers around 0, about half."""

FEATURE_GAIN = 6.0
"""Brings the features of a picture to about half the deviation of what they are added to."""


def begin_quietly(network: nn.Module) -> None:
    """Residual branches begin at zero and changes of size as plain averages and copies, channel by channel.

    What enters then comes through as it is, and every layer's gradient with it (Goyal et al. 2017, arXiv
    1706.02677, section 5.1; Dhariwal and Nichol 2021, arXiv 2105.05233, begin diffusion models like this).
    """
    for module in network.modules():
        match module:
            case ResnetBlock2D() | TemporalResnetBlock():
                _zero(module.conv2)
            case Attention():
                _zero(module.to_out[0])
            case Downsample2D():
                _average(module.conv)
            case Upsample2D():
                _copy(module.conv)


def begin_vae(vae: AutoencoderKLTemporalDecoder) -> None:
    """A VAE that begins as a blur: its latents are means of colours, mixed."""
    begin_quietly(vae)
    _copy(vae.decoder.time_conv_out)
    encoder, decoder = vae.encoder, vae.decoder
    for convolution in (encoder.conv_in, encoder.conv_out, decoder.conv_in, decoder.conv_out, vae.quant_conv):
        _mix(convolution)
    with torch.no_grad():
        vae.quant_conv.weight *= LATENT_GAIN
    vae.register_to_config(scaling_factor=1.0)


def begin_unet(unet: UNetSpatioTemporalConditionModel) -> None:
    """A UNet that begins by predicting nothing."""
    begin_quietly(unet)
    _zero(unet.conv_out)


def begin_picture_embedding(embedding: PictureEmbedding) -> None:
    """An embedding that begins as means of colours, mixed.

    Of a picture that goes through seven convolutions as they usually begin, with SiLUs between them, less
    than a hundredth is left, and a twentieth of what its colours were can be read from that.
    """
    for convolution in (module for module in embedding.modules() if isinstance(module, nn.Conv2d)):
        gain = SILU_GAIN if convolution is not embedding.conv_out else FEATURE_GAIN
        mixing = nn.init.orthogonal_(torch.empty(convolution.out_channels, convolution.in_channels), gain)
        height, width = convolution.kernel_size
        with torch.no_grad():
            if convolution.stride == (1, 1):
                convolution.weight.mul_(0.1)[:, :, height // 2, width // 2] += mixing
            else:
                convolution.weight.copy_(mixing[:, :, None, None].expand_as(convolution.weight))
                convolution.weight /= height * width
        _zero_bias(convolution)


def _zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def _average(convolution: nn.Conv2d) -> None:
    _zero(convolution)
    height, width = convolution.kernel_size
    with torch.no_grad():
        for channel in range(convolution.out_channels):
            convolution.weight[channel, channel] = 1 / (height * width)


def _mix(convolution: nn.Conv2d) -> None:
    """Every pixel's channels mixed at random, its neighbours hardly looked at."""
    nn.init.normal_(convolution.weight, std=0.1 * convolution.weight[0].numel() ** -0.5)
    height, width = convolution.kernel_size
    with torch.no_grad():
        middle = convolution.weight[:, :, height // 2, width // 2]
        middle += torch.randn_like(middle) * convolution.in_channels**-0.5
    _zero_bias(convolution)


def _copy(convolution: nn.Conv2d | nn.Conv3d) -> None:
    nn.init.dirac_(convolution.weight)
    _zero_bias(convolution)


def _zero_bias(convolution: nn.Conv2d | nn.Conv3d) -> None:
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
