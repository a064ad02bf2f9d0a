"""Tables of named values: renderers, densifiers, flow estimators, speech drivers and video models.

To add one, put a value under its name: scenes, the command line and the studio know it from then on. The
values say which weights they need and make the part when it is asked for; torch and the networks are
imported then, not before, because a scene that is only described needs neither.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mofa.errors import InputError, ResourceError
from mofa.pipeline.entries import (
    Asked,
    DensifierEntry,
    FlowEstimatorEntry,
    RendererEntry,
    SpeechDriverEntry,
    VideoModelEntry,
)
from mofa.renderers.diffusion.settings import DiffusionSettings, SvdSettings

if TYPE_CHECKING:
    from mofa.pipeline.networks import Networks, Running
    from mofa.renderers.warp.layers import Fill
    from mofa.types import AdapterName, Show

# --- Renderers ------------------------------------------------------------------------------------


def _make_warp(asked: Asked, networks: "Networks", show: "Show | None" = None) -> Any:
    from mofa.renderers.warp.layers import LayerSettings
    from mofa.renderers.warp.render import WarpSettings, render_warp

    settings = WarpSettings(loop=asked.loop, layers=LayerSettings(fill=_fill(networks)))
    return lambda source, plan, progress: render_warp(source, plan, settings, progress)


def _fill(networks: "Networks") -> "Fill":
    """What shows behind moving things: by the network where its file is on this machine."""
    from mofa.vision.inpaint import inpaint
    from mofa.weights.lama import lama_file, load_lama

    path = lama_file()
    return inpaint if path is None else networks.get("fill", "lama", _small("cpu"), lambda: load_lama(path))


def _make_diffusion(asked: Asked, networks: "Networks", show: "Show | None" = None) -> Any:
    with _needing_packages("the diffusion renderer", "--renderer warp"):
        from mofa.pipeline.cut_out import cut_out_by_warp
        from mofa.pipeline.diffusion_engine import diffusion_model, make_render, preview_callback
        from mofa.pipeline.fitted import fitted_render
        from mofa.pipeline.networks import Running
        from mofa.renderers.diffusion.latents import noise_from, read_latents
    # Read before gigabytes of weights are.
    noise = None if asked.latents is None else noise_from(read_latents(asked.latents))

    def make(settings: DiffusionSettings) -> Any:
        changed = asked.model_copy(update={"diffusion": settings})
        entry = VIDEO_MODELS[settings.model]
        model = diffusion_model(settings, entry, steering_adapters(changed), networks)
        callback = preview_callback(show, entry, Running.of(settings), networks)
        return make_render(model, changed, Running.of(settings).placement, callback, noise)

    fits = asked.diffusion.fit_memory
    return cut_out_by_warp(
        fitted_render(asked.diffusion, make) if fits else make(asked.diffusion), asked.loop
    )


def steering_adapters(asked: Asked) -> "list[AdapterName]":
    """The adapters of a request's video model that its motion needs."""
    if not asked.diffusion.adapters:
        return []
    return [name for name in asked.adapters if name in VIDEO_MODELS[asked.diffusion.model].adapters]


def _warp_densifier(asked: Asked) -> str:
    return asked.densifier or "things"


def _diffusion_densifier(asked: Asked) -> str:
    return asked.densifier or asked.diffusion.densifier


def _diffusion_slots(asked: Asked) -> Sequence[str]:
    model = VIDEO_MODELS[asked.diffusion.model]
    return [*model.slots, *steering_adapters(asked), *DENSIFIERS[_diffusion_densifier(asked)].slots]


WARP_PIXEL, LOOP_PIXEL, WARP_FRAME = 520.0, 130.0, 500_000.0
"""Bytes of the warp renderer per pixel of the clip, of a loop's besides, per frame (`pipeline.memory`)."""


def _warp_memory(asked: Asked, width: int, height: int, frames: int) -> float:
    return (WARP_PIXEL + LOOP_PIXEL * asked.loop) * width * height + WARP_FRAME * frames


def _diffusion_memory(asked: Asked, width: int, height: int, frames: int) -> float:
    """Main memory of the diffusion renderer: networks and hidden states where a CPU computes, else the
    weights, which pass through it; and the warp renderer's, which guides, or cuts out."""
    from mofa.pipeline.networks import Running
    from mofa.renderers.diffusion.fitting import Notch, Work, needed_bytes, network_bytes, notches

    settings, running = asked.diffusion, Running.of(asked.diffusion)
    work = Work(width, height, min(frames, settings.window), len(steering_adapters(asked)))
    if running.device.type != "cpu":
        own = network_bytes(work, running.dtype)
    else:
        chosen = Notch(settings.offload, settings.halves_at_once, settings.decode_chunk)
        ways = list(notches(running.device)) if settings.fit_memory else [chosen]
        own = min(needed_bytes(way, work, running.dtype) for way in ways)
    return own + _warp_memory(asked, width, height, frames)


RENDERERS: dict[str, RendererEntry] = {
    "warp": RendererEntry(
        "moves the pixels themselves",
        _warp_densifier,
        lambda asked: DENSIFIERS[_warp_densifier(asked)].slots,
        _make_warp,
        _warp_memory,
    ),
    "diffusion": RendererEntry(
        "runs a video model", _diffusion_densifier, _diffusion_slots, _make_diffusion, _diffusion_memory
    ),
}


# --- Densifiers -----------------------------------------------------------------------------------


def _make_edge_aware(asked: Asked, networks: "Networks") -> Any:
    from mofa.densify.edge_aware import spread_hints

    return spread_hints


def _make_cmp(asked: Asked, networks: "Networks") -> Any:
    with _needing_packages("the CMP network", "--densifier edge-aware"):
        from mofa.pipeline.diffusion_engine import cached_cmp
    return cached_cmp(asked, networks)


def _make_things(asked: Asked, networks: "Networks") -> Any:
    from mofa.pipeline.things import densify_things

    return densify_things


DENSIFIERS: dict[str, DensifierEntry] = {
    "cmp": DensifierEntry("the network that the adapters learned with", _make_cmp, ("cmp",), True),
    "edge-aware": DensifierEntry("the picture's own edges, without weights", _make_edge_aware),
    "things": DensifierEntry("the things that hints lie on, by a network that comes with mofa", _make_things),
}


# --- Flow estimators ------------------------------------------------------------------------------


def _make_dis(asked: Asked, networks: "Networks") -> Any:
    from mofa.vision.dis import dis_flow

    return dis_flow


def _make_unimatch(asked: Asked, networks: "Networks") -> Any:
    with _needing_packages("UniMatch", "--optical-flow dis"):
        from mofa.pipeline.load import load_unimatch
    running = _small(asked.diffusion.device)
    return networks.get("flow", "unimatch", running, lambda: load_unimatch(running.device))


FLOW_ESTIMATORS: dict[str, FlowEstimatorEntry] = {
    "dis": FlowEstimatorEntry("classical, needs no weights", _make_dis),
    "unimatch": FlowEstimatorEntry("a network, more exact", _make_unimatch, ("unimatch",)),
}


# --- Speech drivers -------------------------------------------------------------------------------


def _make_signal(device: str | None, networks: "Networks", *face: Any) -> Any:
    from mofa.faces.drivers.signal_audio import signal_driver

    return signal_driver


def _make_aniportrait(
    device: str | None, networks: "Networks", points: Any, found: Any, original: Any
) -> Any:
    with _needing_packages("the aniportrait driver", "--driver signal"):
        from mofa.pipeline.load_speech import aniportrait_for, load_aniportrait
    if found is None:
        raise InputError(
            "the aniportrait driver needs a face that is found in the picture, not one whose points are "
            "given by hand: use --driver signal or sadtalker.",
            key="driver.face",
        )
    running = _small(device)
    loaded = networks.get("speech", "aniportrait", running, lambda: load_aniportrait(running.device))
    return aniportrait_for(loaded, found.mesh, original.height, original.width)


def _make_sadtalker(device: str | None, networks: "Networks", points: Any, found: Any, original: Any) -> Any:
    with _needing_packages("the sadtalker driver", "--driver signal"):
        from mofa.pipeline.load_speech import load_sadtalker, sadtalker_for
    running = _small(device)
    loaded = networks.get("speech", "sadtalker", running, lambda: load_sadtalker(running.device))
    return sadtalker_for(loaded, original.pixels, points)


SPEECH_DRIVERS: dict[str, SpeechDriverEntry] = {
    "signal": SpeechDriverEntry("by the sound itself, needs no weights", _make_signal),
    "aniportrait": SpeechDriverEntry("learned", _make_aniportrait, ("audio2mesh", "audio2pose")),
    "sadtalker": SpeechDriverEntry("learned", _make_sadtalker, ("sadtalker",)),
}


# --- Video models ---------------------------------------------------------------------------------


def _load_svd_xt(running: "Running") -> Any:
    from mofa.renderers.diffusion.svd import StableVideoDiffusion
    from mofa.weights.networks import load_backbone
    from mofa.weights.store import require

    return StableVideoDiffusion(load_backbone(require(["svd-xt"])["svd-xt"], running.dtype))


def _load_animatelcm(running: "Running") -> Any:
    from mofa.renderers.diffusion.svd import StableVideoDiffusion
    from mofa.weights.networks import load_backbone
    from mofa.weights.store import require

    files = require(["svd-xt", "animatelcm"])
    [unet] = files["animatelcm"].values()
    others = {**files["svd-xt"], "unet/diffusion_pytorch_model.safetensors": unet}
    return StableVideoDiffusion(load_backbone(others, running.dtype))


VIDEO_MODELS: dict[str, VideoModelEntry] = {
    "svd-xt": VideoModelEntry(
        "Stable Video Diffusion XT 1.1",
        SvdSettings,
        _load_svd_xt,
        ("svd-xt",),
        ("trajectory", "landmark"),
        "taesd",
    ),
    "animatelcm": VideoModelEntry(
        "AnimateLCM-SVD-xt 1.1, of few steps; its makers never tried it with the adapters",
        SvdSettings,
        _load_animatelcm,
        ("svd-xt", "animatelcm"),
        ("trajectory", "landmark"),
        "taesd",
    ),
}


def _small(device: str | None) -> "Running":
    from mofa.devices import pick_device
    from mofa.pipeline.networks import Running

    return Running(pick_device(device))


@contextmanager
def _needing_packages(what: str, instead: str) -> Iterator[None]:
    """Says what to install where an import of the diffusion extra's packages fails."""
    try:
        yield
    except ImportError as error:
        raise ResourceError(
            f"{what} needs packages that are not installed ({error.name}): "
            f'`pip install "mofa-video[diffusion]"`, or use `{instead}`.',
            key="packages.missing",
        ) from error
