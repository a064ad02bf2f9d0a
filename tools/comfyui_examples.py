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


def scene(**more: Any) -> Node:
    """The scene of the first example: a rocket lifts off."""
    return node(
        "MofaScene",
        image=("photo", 0),
        lines="322,270 322,90",
        camera="",
        frames=25,
        fps=8.0,
        width=0,
        height=0,
        loop=False,
        seed=0,
        mask=("mask", 0),
        **more,
    )


PHOTO = node("LoadImage", image="rocket.jpg")
MASK = node("LoadImageMask", image="rocket_mask.png", channel="red")
WAN = {
    "model": node("UNETLoader", unet_name="wan2.2_i2v_14B.safetensors", weight_dtype="default"),
    "clip": node("CLIPLoader", clip_name="umt5_xxl_fp8_e4m3fn_scaled.safetensors", type="wan"),
    "vae": node("VAELoader", vae_name="wan_2.1_vae.safetensors"),
    "prompt": node("CLIPTextEncode", clip=("clip", 0), text="a rocket lifts off"),
    "negative": node("CLIPTextEncode", clip=("clip", 0), text="camera shake"),
}
WORKFLOWS: dict[str, dict[str, Node]] = {
    "1-warp": {
        "photo": PHOTO,
        "mask": MASK,
        "scene": scene(),
        "warp": node("MofaWarp", scene=("scene", 0)),
        "save": node("SaveVideo", video=("warp", 4), filename_prefix="mofa", format="mp4", codec="h264"),
    },
    "2-warp-to-time-to-move": {
        "photo": PHOTO,
        "mask": MASK,
        "scene": scene(),
        "warp": node("MofaWarp", scene=("scene", 0)),
        "vae": WAN["vae"],
        "signal": node("VAEEncode", pixels=("warp", 0), vae=("vae", 0)),
        "embeds": node("WanVideoEmptyEmbeds", width=640, height=427, num_frames=25),
        "ttm": node(
            "WanVideoAddTTMLatents",
            embeds=("embeds", 0),
            reference_latents=("signal", 0),
            mask=("warp", 1),
            start_step=3,
            end_step=7,
        ),
    },
    "3-tracks-to-wan-move": {
        "photo": PHOTO,
        "mask": MASK,
        "scene": scene(),
        "flow": node("MofaFlow", scene=("scene", 0), frames=81, grid=32),
        **WAN,
        "wan": node(
            "WanMoveTrackToVideo",
            positive=("prompt", 0),
            negative=("negative", 0),
            vae=("vae", 0),
            start_image=("photo", 0),
            tracks=("flow", 0),
            strength=1.0,
            width=832,
            height=480,
            length=("flow", 2),
            batch_size=1,
        ),
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
        "save": node("SaveVideo", video=("speak", 2), filename_prefix="mofa", format="mp4", codec="h264"),
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
