"""What weights exist: every file of the public releases, where it is kept, how large, under which terms.

A slot is a place that the program fills with weights ("trajectory"); a checkpoint is what a file
turns out to be by its keys ("trajectory adapter"). Two slots may take the same checkpoint.
Sizes are approximate, from the number of parameters; the hub tells the exact ones at download time.
"""

from difflib import get_close_matches

from mofa.errors import InputError
from mofa.weights.measuring import MEASURING_CHECKPOINTS, MEASURING_SLOTS
from mofa.weights.slots import Checkpoint as Checkpoint
from mofa.weights.slots import Licence as Licence
from mofa.weights.slots import Shapes as Shapes
from mofa.weights.slots import Slot as Slot
from mofa.weights.slots import Source as Source
from mofa.weights.slots import WeightFile as WeightFile

COUNTERS = ("*.num_batches_tracked",)
"""Batch counters of normalisation layers: used by no forward pass, absent from files of old PyTorch."""

SVD_LICENCE = Licence(
    "Stability AI NC community (SVD 1.1)",
    "research and other non-commercial use only, and the terms must be accepted on the model's page",
    "https://huggingface.co/stabilityai/stable-video-diffusion-img2vid-xt-1-1",
)
ADAPTER_LICENCE = Licence(
    "Apache-2.0, over SVD 1.1",
    "published under Apache-2.0, but trained from SVD-XT 1.1, whose non-commercial terms reach derived ones",
    "https://huggingface.co/MyNiuuu/MOFA-Video-Hybrid",
)
CMP_LICENCE = Licence(
    "not stated by its authors",
    "the repositories that carry it say Apache-2.0, the original release names no licence for the weights",
    "https://github.com/XiaohangZhan/conditional-motion-propagation",
)
UNIMATCH_LICENCE = Licence(
    "not stated for the weights",
    "the code is MIT-licensed, the release names no licence for the weights",
    "https://github.com/autonomousvision/unimatch",
)
ANIPORTRAIT_LICENCE = Licence(
    "Apache-2.0",
    "use, change and pass on, keeping the notices",
    "https://huggingface.co/ZJYang/AniPortrait",
)
WAV2VEC2_LICENCE = Licence(
    "Apache-2.0",
    "use, change and pass on, keeping the notices",
    "https://huggingface.co/facebook/wav2vec2-base-960h",
)
LAMA_LICENCE = Licence(
    "Apache-2.0",
    "use, change and pass on, keeping the notices",
    "https://github.com/opencv/opencv_zoo/tree/main/models/inpainting_lama",
)
SADTALKER_LICENCE = Licence(
    "Apache-2.0",
    "use, change and pass on, keeping the notices; the face model it needs is licensed separately",
    "https://github.com/OpenTalker/SadTalker",
)
TAESD_LICENCE = Licence(
    "MIT",
    "use, change and pass on, keeping the notice",
    "https://huggingface.co/madebyollin/taesd",
)

ANIMATELCM_LICENCE = Licence(
    "Stability AI NC community (SVD)",
    "trained from SVD-XT, whose non-commercial terms reach it; its code is MIT-licensed",
    "https://huggingface.co/wangfuyun/AnimateLCM-SVD-xt",
)

TRAJECTORY_REPOSITORY = "MyNiuuu/MOFA-Video-Traj"
HYBRID_REPOSITORY = "MyNiuuu/MOFA-Video-Hybrid"
CMP_FOLDER = "models/cmp/experiments/semiauto_annot/resnet50_vip+mpii_liteflow/checkpoints"

CHECKPOINTS: tuple[Checkpoint, ...] = (
    # First: all of CLIP has the keys of its picture half, too.
    *MEASURING_CHECKPOINTS,
    Checkpoint(
        "trajectory-adapter",
        "the trajectory adapter",
        {
            "conv_in.weight": (320, 8, 3, 3),
            "controlnet_down_blocks.11.weight": (1280, 1280, 1, 1),
            "flow_encoder.zeroconvs.2.weight": (1280, 1280, 1, 1),
        },
    ),
    Checkpoint(
        "landmark-adapter",
        "the landmark adapter",
        {
            "conv_in.weight": (320, 8, 3, 3),
            "controlnet_ldmk_embedding.conv_in.weight": (16, 3, 3, 3),
            "occlusions.8.matting_mask.weight": (1, 64, 7, 7),
            "zero_outs.64.weight": (1280, 1280, 1, 1),
        },
    ),
    Checkpoint(
        "svd-unet",
        "the UNet of Stable Video Diffusion",
        {
            "conv_in.weight": (320, 8, 3, 3),
            "conv_out.weight": (4, 320, 3, 3),
            "up_blocks.3.resnets.2.temporal_res_block.conv1.weight": (320, 320, 3, 1, 1),
        },
    ),
    Checkpoint(
        "svd-vae",
        "the VAE of Stable Video Diffusion",
        {
            "encoder.conv_in.weight": (128, 3, 3, 3),
            "decoder.time_conv_out.weight": (3, 3, 3, 1, 1),
        },
    ),
    Checkpoint(
        "svd-image-encoder",
        "the CLIP image encoder of Stable Video Diffusion",
        {
            "vision_model.embeddings.class_embedding": (1280,),
            "vision_model.embeddings.patch_embedding.weight": (1280, 3, 14, 14),
            "visual_projection.weight": (1024, 1280),
        },
        # An index table that older transformers saved along.
        harmless=("vision_model.embeddings.position_ids",),
    ),
    Checkpoint(
        "svd-single-file",
        "Stable Video Diffusion in one file (mofa reads the diffusers layout of separate folders)",
        {"model.diffusion_model.input_blocks.0.0.weight": (320, 8, 3, 3)},
    ),
    Checkpoint(
        "taesd-decoder",
        "the decoder of TAESD",
        {
            "1.weight": (64, 4, 3, 3),
            "3.conv.0.weight": (64, 64, 3, 3),
            "7.weight": (64, 64, 3, 3),
            "19.weight": (3, 64, 3, 3),
        },
    ),
    Checkpoint(
        "cmp",
        "the CMP sparse-to-dense network",
        {
            "image_encoder.conv5.weight": (256, 2048, 1, 1),
            "flow_encoder.features.0.weight": (16, 4, 5, 5),
            "flow_decoder.head.weight": (198, 64, 1, 1),
        },
    ),
    Checkpoint(
        "unimatch",
        "the UniMatch flow network (GMFlow, scale 2, refined)",
        {
            "backbone.trident_conv.weight": (128, 128, 3, 3),
            "feature_flow_attn.q_proj.weight": (128, 128),
            "refine.gru.convz1.weight": (128, 384, 1, 5),
        },
    ),
    Checkpoint(
        "audio2mesh",
        "the AniPortrait speech-to-mesh network",
        {"in_fn.weight": (512, 768), "out_fn.weight": (1404, 512)},
    ),
    Checkpoint(
        "audio2pose",
        "the AniPortrait speech-to-head-pose network",
        {"pose_map_r.weight": (6, 512), "id_embed.weight": (100, 512)},
    ),
    Checkpoint(
        "wav2vec2",
        "the wav2vec 2.0 speech encoder",
        {
            "wav2vec2.feature_extractor.conv_layers.0.conv.weight": (512, 1, 10),
            "wav2vec2.feature_projection.projection.weight": (768, 512),
        },
        # The letter head and the mask vector serve training and transcription.
        harmless=("lm_head.*", "wav2vec2.masked_spec_embed"),
    ),
    Checkpoint(
        "sadtalker",
        "the SadTalker networks",
        {"audio2exp.mapping1.weight": (64, 577), "audio2pose.netG.encoder.MLP.L0.weight": (128, 454)},
        # What the pose network was trained with.
        harmless=("audio2pose.netD_motion.*", "audio2pose.netG.encoder.*"),
    ),
)

SADTALKER_PARTS = ("audio2exp.", "audio2pose.", "face_3drecon.")
"""What is used of the SadTalker file; the others are parts of its renderer."""

ADAPTER_FILES = ("config.json", "diffusion_pytorch_model.safetensors")


def _adapter_files(checkpoint: str, size: int) -> tuple[WeightFile, ...]:
    settings, weights = ADAPTER_FILES
    return (WeightFile(settings, 1_100), WeightFile(weights, size, checkpoint))


SLOTS: tuple[Slot, ...] = (
    Slot(
        "svd-xt",
        "Stable Video Diffusion XT 1.1, half precision: the frozen backbone",
        SVD_LICENCE,
        files=(
            WeightFile("unet/config.json", 1_000),
            WeightFile(
                "unet/diffusion_pytorch_model.safetensors",
                3_050_000_000,
                "svd-unet",
                remote="unet/diffusion_pytorch_model.fp16.safetensors",
            ),
            WeightFile("vae/config.json", 600),
            WeightFile(
                "vae/diffusion_pytorch_model.safetensors",
                196_000_000,
                "svd-vae",
                remote="vae/diffusion_pytorch_model.fp16.safetensors",
            ),
            WeightFile("image_encoder/config.json", 600),
            WeightFile(
                "image_encoder/model.safetensors",
                1_264_000_000,
                "svd-image-encoder",
                remote="image_encoder/model.fp16.safetensors",
            ),
            WeightFile("feature_extractor/preprocessor_config.json", 500, optional=True),
            WeightFile("scheduler/scheduler_config.json", 500, optional=True),
            WeightFile("model_index.json", 500, optional=True),
        ),
        sources=(
            Source("stabilityai/stable-video-diffusion-img2vid-xt-1-1"),
            Source(HYBRID_REPOSITORY, "ckpts/mofa/stable-video-diffusion-img2vid-xt-1-1", mirror=True),
        ),
        gated=True,
    ),
    Slot(
        "animatelcm",
        "AnimateLCM-SVD-xt 1.1: a backbone of few steps, used with the other networks of svd-xt",
        ANIMATELCM_LICENCE,
        files=(WeightFile("AnimateLCM-SVD-xt-1.1.safetensors", 6_100_000_000, "svd-unet"),),
        sources=(Source("wangfuyun/AnimateLCM-SVD-xt"),),
    ),
    Slot(
        "taesd",
        "TAESD, a tiny decoder: studio and server show by it what is being denoised, where it is present",
        TAESD_LICENCE,
        files=(WeightFile("taesd_decoder.safetensors", 4_900_000, "taesd-decoder"),),
        sources=(Source("madebyollin/taesd"),),
    ),
    Slot(
        "trajectory",
        "the trajectory adapter",
        ADAPTER_LICENCE,
        files=_adapter_files("trajectory-adapter", 2_780_000_000),
        # The repository's folder has moved: either place may hold it.
        sources=(
            Source(TRAJECTORY_REPOSITORY, "controlnet"),
            Source(TRAJECTORY_REPOSITORY, "ckpts/controlnet"),
        ),
        stand_in="trajectory-hybrid",
    ),
    Slot(
        "trajectory-hybrid",
        "the trajectory adapter that the hybrid release ships",
        ADAPTER_LICENCE,
        files=_adapter_files("trajectory-adapter", 2_780_000_000),
        sources=(Source(HYBRID_REPOSITORY, "ckpts/mofa/traj_controlnet"),),
    ),
    Slot(
        "landmark",
        "the landmark adapter",
        ADAPTER_LICENCE,
        files=_adapter_files("landmark-adapter", 2_890_000_000),
        sources=(Source(HYBRID_REPOSITORY, "ckpts/mofa/ldmk_controlnet"),),
    ),
    Slot(
        "cmp",
        "CMP, which makes dense motion of sparse hints",
        CMP_LICENCE,
        files=(WeightFile("ckpt_iter_42000.pth.tar", 115_000_000, "cmp"),),
        sources=(Source(TRAJECTORY_REPOSITORY, CMP_FOLDER), Source(HYBRID_REPOSITORY, CMP_FOLDER)),
    ),
    Slot(
        "unimatch",
        "UniMatch, which measures optical flow",
        UNIMATCH_LICENCE,
        files=(
            WeightFile("gmflow-scale2-regrefine6-mixdata-train320x576-4e7b215d.pth", 29_500_000, "unimatch"),
        ),
        url="https://s3.eu-central-1.amazonaws.com/avg-projects/unimatch/pretrained/"
        "gmflow-scale2-regrefine6-mixdata-train320x576-4e7b215d.pth",
    ),
    Slot(
        "lama",
        "LaMa, which fills what a moving thing uncovers; the warp renderer uses it where it is present",
        LAMA_LICENCE,
        # Name, size and SHA-256 as in opencv_zoo's Git LFS pointer (models/inpainting_lama, commit 966be4c).
        # Of the hub's opencv/inpainting_lama only the README could be seen when this was written.
        files=(
            WeightFile(
                "inpainting_lama_2025jan.onnx",
                92_591_623,
                sha256="7df918ac3921d3daf0aae1d219776cf0dc4e4935f035af81841b40adcf74fdf2",
            ),
        ),
        sources=(Source("opencv/inpainting_lama"),),
    ),
    Slot(
        "audio2mesh",
        "AniPortrait: face motion from speech",
        ANIPORTRAIT_LICENCE,
        files=(WeightFile("audio2mesh.pt", 382_000_000, "audio2mesh"),),
        sources=(Source(HYBRID_REPOSITORY, "ckpts/aniportrait"),),
    ),
    Slot(
        "audio2pose",
        "AniPortrait: head pose from speech",
        ANIPORTRAIT_LICENCE,
        files=(WeightFile("audio2pose.pt", 482_000_000, "audio2pose"),),
        sources=(Source(HYBRID_REPOSITORY, "ckpts/aniportrait"),),
    ),
    Slot(
        "wav2vec2",
        "wav2vec 2.0 base, trained on 960 h of speech",
        WAV2VEC2_LICENCE,
        files=(
            WeightFile("config.json", 1_600),
            WeightFile("model.safetensors", 378_000_000, "wav2vec2"),
        ),
        sources=(
            Source(HYBRID_REPOSITORY, "ckpts/aniportrait/wav2vec2-base-960h"),
            Source("facebook/wav2vec2-base-960h"),
        ),
    ),
    Slot(
        "sadtalker",
        "SadTalker: expression and head pose from speech",
        SADTALKER_LICENCE,
        files=(WeightFile("SadTalker_V0.0.2_256.safetensors", 725_000_000, "sadtalker"),),
        sources=(Source(HYBRID_REPOSITORY, "ckpts/sad_talker"),),
    ),
    *MEASURING_SLOTS,
)


def find_slot(name: str) -> Slot:
    """The slot of that name. Raises InputError, with the nearest name, where there is none."""
    by_name = {slot.name: slot for slot in SLOTS}
    if name in by_name:
        return by_name[name]
    near = get_close_matches(name, by_name, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(by_name)}."
    raise InputError(f"There are no weights called {name}: {hint}")


def find_checkpoint(name: str) -> Checkpoint:
    """The kind of checkpoint of that name, which must be in the table."""
    return next(checkpoint for checkpoint in CHECKPOINTS if checkpoint.name == name)


def recognise(shapes: Shapes) -> Checkpoint | None:
    """What kind of checkpoint has these keys, whatever its file is called; None where no kind fits.

    Only names count: `odd_size` says where a recognised checkpoint has other sizes than the release.
    """
    return next((kind for kind in CHECKPOINTS if kind.fingerprint.keys() <= shapes.keys()), None)


def odd_size(checkpoint: Checkpoint, shapes: Shapes) -> str | None:
    """The first key of the fingerprint whose shape is not the released one, in words; else None."""
    for key, released in checkpoint.fingerprint.items():
        if tuple(shapes[key]) != released:
            return f"{key} is {list(shapes[key])}, not {list(released)}"
    return None


def in_words(size: int) -> str:
    """A number of bytes as people write it: 4.5 GB, 29 MB."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            amount = size / factor
            return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:.0f} {unit}"
    return f"{size} bytes"
