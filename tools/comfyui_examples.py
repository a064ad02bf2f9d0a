"""Writes the example workflows of integrations/comfyui and a picture of what each makes.

python -m tools.comfyui_examples
"""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from mofa.apps.examples import example
from mofa.media.draw import contact_sheet, draw_overlay
from mofa.media.image import read_mask, read_picture, save_png, to_bytes
from mofa.pipeline.request import AnimationRequest
from tests.conftest import draw_person

PACK = Path(__file__).parent.parent / "integrations" / "comfyui"
FRAMES, SIZE = 6, (360, 240)
"""Of the pictures beside the workflows."""
Node = dict[str, Any]


def node(kind: str, **inputs: Any) -> Node:
    """A node in ComfyUI's API format; an input that comes from another node is (its name, output)."""
    ports = {name: list(value) if isinstance(value, tuple) else value for name, value in inputs.items()}
    return {"class_type": kind, "inputs": ports}


def scene(frames: int = 25, fps: float = 8.0, width: int = 0, height: int = 0) -> Node:
    """The scene of the first example: a rocket lifts off."""
    return node(
        "MofaScene",
        image=("photo", 0),
        lines="322,270 322,90",
        camera="",
        frames=frames,
        fps=fps,
        width=width,
        height=height,
        loop=False,
        seed=0,
        mask=("mask", 0),
    )


PHOTO = node("LoadImage", image="rocket.jpg")
MASK = node("LoadImageMask", image="rocket_mask.png", channel="red")
PROMPT, NEGATIVE = "a rocket lifts off", "camera shake, blurry, static"
WAN_SIZE = {"width": 832, "height": 480}
"""Tracks and masks are in pixels of the scene, so that it has the size and the frames of the model."""
WAN_SCENE = scene(81, 16.0, **WAN_SIZE)
TILES = {"enable_vae_tiling": False, "tile_x": 272, "tile_y": 272, "tile_stride_x": 144, "tile_stride_y": 128}


def wan_sampler(**more: Any) -> Node:
    """One half of Wan 2.2's steps, by WanVideoWrapper."""
    common = {"steps": 50, "cfg": 3.5, "shift": 5.0, "seed": 0, "force_offload": True, "scheduler": "unipc"}
    return node("WanVideoSampler", **common, riflex_freq_index=0, text_embeds=("text", 0), **more)


def wan_model(half: str) -> Node:
    """Wan 2.2 has a network for high noise and one for low."""
    return node(
        "WanVideoModelLoader",
        model=f"WanVideo/2_2/Wan2_2-I2V-A14B-{half}_fp8_e4m3fn_scaled_KJ.safetensors",
        base_precision="fp16",
        quantization="disabled",
        load_device="offload_device",
    )


def save(images: tuple[str, int], fps: float) -> dict[str, Node]:
    """Images as a video on the disk."""
    video = node("CreateVideo", images=images, fps=fps)
    return {"video": video, "save": saved(("video", 0))}


def saved(video: tuple[str, int]) -> Node:
    """A video on the disk."""
    return node("SaveVideo", video=video, filename_prefix="mofa", format="mp4", codec="h264")


WORKFLOWS: dict[str, dict[str, Node]] = {
    "1-warp": {
        "photo": PHOTO,
        "mask": MASK,
        "scene": scene(),
        "warp": node("MofaWarp", scene=("scene", 0)),
        "save": saved(("warp", 4)),
    },
    "2-warp-to-time-to-move": {
        "photo": PHOTO,
        "mask": MASK,
        "scene": WAN_SCENE,
        "warp": node("MofaWarp", scene=("scene", 0)),
        "first": node("ImageFromBatch", image=("warp", 0), batch_index=0, length=1),
        "vae": node("WanVideoVAELoader", model_name="wanvideo/Wan2_1_VAE_bf16.safetensors", precision="bf16"),
        "signal": node("WanVideoEncode", vae=("vae", 0), image=("warp", 0), **TILES),
        "embeds": node(
            "WanVideoImageToVideoEncode",
            vae=("vae", 0),
            start_image=("first", 0),
            num_frames=81,
            noise_aug_strength=0.0,
            start_latent_strength=1.0,
            end_latent_strength=1.0,
            force_offload=True,
            **WAN_SIZE,
        ),
        "ttm": node(
            "WanVideoAddTTMLatents",
            embeds=("embeds", 0),
            reference_latents=("signal", 0),
            mask=("warp", 1),
            start_step=3,
            end_step=7,
        ),
        "t5": node(
            "LoadWanVideoT5TextEncoder",
            model_name="umt5-xxl-enc-bf16.safetensors",
            precision="bf16",
            load_device="offload_device",
            quantization="disabled",
        ),
        "text": node("WanVideoTextEncode", t5=("t5", 0), positive_prompt=PROMPT, negative_prompt=NEGATIVE),
        "high": wan_model("HIGH"),
        "low": wan_model("LOW"),
        "begun": wan_sampler(model=("high", 0), image_embeds=("ttm", 0), start_step=0, end_step=25),
        "done": wan_sampler(
            model=("low", 0), image_embeds=("embeds", 0), samples=("begun", 0), start_step=25, end_step=-1
        ),
        "frames": node("WanVideoDecode", vae=("vae", 0), samples=("done", 0), **TILES),
        **save(("frames", 0), 16.0),
    },
    "3-tracks-to-wan-move": {
        "photo": PHOTO,
        "mask": MASK,
        "scene": WAN_SCENE,
        "flow": node("MofaFlow", scene=("scene", 0), frames=81, grid=32),
        "model": node(
            "UNETLoader",
            unet_name="Wan21-WanMove_fp8_scaled_e4m3fn_KJ.safetensors",
            weight_dtype="default",
        ),
        "shifted": node("ModelSamplingSD3", model=("model", 0), shift=3.0),
        "clip": node(
            "CLIPLoader", clip_name="umt5_xxl_fp8_e4m3fn_scaled.safetensors", type="wan", device="default"
        ),
        "vae": node("VAELoader", vae_name="wan_2.1_vae.safetensors"),
        "eyes": node("CLIPVisionLoader", clip_name="clip_vision_h.safetensors"),
        "seen": node("CLIPVisionEncode", clip_vision=("eyes", 0), image=("photo", 0), crop="center"),
        "prompt": node("CLIPTextEncode", clip=("clip", 0), text=PROMPT),
        "negative": node("CLIPTextEncode", clip=("clip", 0), text=NEGATIVE),
        "wan": node(
            "WanMoveTrackToVideo",
            positive=("prompt", 0),
            negative=("negative", 0),
            vae=("vae", 0),
            start_image=("photo", 0),
            clip_vision_output=("seen", 0),
            tracks=("flow", 0),
            strength=1.0,
            length=("flow", 2),
            batch_size=1,
            **WAN_SIZE,
        ),
        "sampled": node(
            "KSampler",
            model=("shifted", 0),
            positive=("wan", 0),
            negative=("wan", 1),
            latent_image=("wan", 2),
            seed=0,
            steps=40,
            cfg=5.0,
            sampler_name="uni_pc",
            scheduler="simple",
            denoise=1.0,
        ),
        "frames": node("VAEDecode", samples=("sampled", 0), vae=("vae", 0)),
        **save(("frames", 0), 16.0),
    },
    "4-speaking-portrait": {
        "photo": node("LoadImage", image="portrait.jpg"),
        "voice": node("LoadAudio", audio="hello.wav"),
        "speak": node(
            "MofaSpeak",
            image=("photo", 0),
            voice=("voice", 0),
            driver="signal",
            mouth=1.0,
            pose=1.0,
            fps=25.0,
            seed=0,
        ),
        "save": saved(("speak", 2)),
    },
}


def main() -> int:
    """Writes everything."""
    folder = PACK / "workflows"
    for name, graph in WORKFLOWS.items():
        (folder / f"{name}.json").write_text(json.dumps(graph, indent=2) + "\n", encoding="utf-8")
    functions = _functions()
    request = AnimationRequest.from_file(example(None))
    assert request.picture is not None
    image = read_picture(request.picture).permute(1, 2, 0)[None]
    mask = read_mask(request.picture.parent.parent / "masks" / "rocket.png")
    rocket = functions.make_scene(image, "322,270 322,90", mask=mask, frames=FRAMES, size=SIZE)
    made = functions.warp(rocket)
    _sheet(folder / "1-warp.png", made.images)
    pair = torch.cat([made.images, made.moved[..., None].expand(-1, -1, -1, 3)], 2)
    _sheet(folder / "2-warp-to-time-to-move.png", pair)
    tracks = functions.flow(rocket, FRAMES, 32)["track_path"].transpose(0, 1)
    moving = tracks[(tracks[:, -1] - tracks[:, 0]).norm(dim=-1) > 2]
    first = to_bytes(made.images[0].permute(2, 0, 1))
    save_png(folder / "3-tracks-to-wan-move.png", draw_overlay(first, list(moving), []))
    _portrait(functions, folder / "4-speaking-portrait.png")
    return 0


def _portrait(functions: ModuleType, path: Path) -> None:
    image = (draw_person().permute(1, 2, 0).float() / 255)[None]
    time = torch.arange(4000) / 16000
    voice = torch.sin(2 * torch.pi * 160 * time) * (0.5 + 0.5 * torch.sin(2 * torch.pi * 4 * time))
    sound = {"waveform": voice[None, None], "sample_rate": 16000}
    _sheet(path, functions.speak(image, sound, mouth=1.5).images)


def _sheet(path: Path, images: torch.Tensor) -> None:
    frames = to_bytes(images.permute(0, 3, 1, 2))
    save_png(path, contact_sheet(frames, columns=3, max_width=900, most=6))


def _functions() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mofa_functions", PACK / "functions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mofa_functions"] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sys.exit(main())
