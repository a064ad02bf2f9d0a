"""What a batch looks like, as a page: frames, landmarks, flow, hints, and the dense flow made of them."""

import base64
import html
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.errors import InputError, WeightsError
from mofa.faces.sketch import overlay_landmarks
from mofa.media.draw import draw_overlay, flow_wheel
from mofa.media.files import replacing
from mofa.media.image import save_png
from mofa.training.clips import Clips
from mofa.training.config import Recipe
from mofa.training.objectives import AdapterRecipe, SparseToDenseRecipe
from mofa.training.protocol import Draws, stack
from mofa.training.shown_motion import MotionSettings, ShownMotion

Frames = UInt8[Tensor, "T 3 H W"]


def write_page(
    clips: list[Clips], path: Path, title: str, overwrite: bool = False, recipe: Recipe | None = None
) -> None:
    """One row of pictures per clip and kind. Raises OutputError where the page cannot be written.

    With a recipe, also what its objective would be shown of each: hints, and the dense flow made of them.
    """
    shown, note = shown_by(recipe) if recipe is not None else (None, "")
    seed = 0 if recipe is None else recipe.loop.seed
    rows = "\n".join(
        _clip(clip, {} if shown is None else shown_pictures(shown, clip, Draws(seed, i, 1, 0, 1), note))
        for i, clip in enumerate(clips)
    )
    with replacing(path, overwrite) as hidden:
        hidden.write_text(
            f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title>"
            "<style>body{font:14px sans-serif;margin:2em}img{display:block;max-width:100%}</style>"
            f"<h1>{html.escape(title)}</h1>\n{rows}\n",
            encoding="utf-8",
        )


def shown_by(recipe: Recipe) -> tuple[ShownMotion | None, str]:
    """What a recipe shows an adapter or network of clips, and what stands in for weights that are absent.

    None where it is shown no hints: dense flow, or no motion at all.
    """
    wish, cpu = recipe.objective, torch.device("cpu")
    if isinstance(wish, SparseToDenseRecipe):
        return ShownMotion(MotionSettings("sparse", wish.sampling)), "by the picture's edges"
    if not isinstance(wish, AdapterRecipe) or wish.motion == "dense":
        return None, ""
    settings = MotionSettings(wish.motion, wish.sampling, wish.conventions, wish.region)
    note, network, estimate = f"by {wish.sparse_to_dense}", None, None
    try:
        network = wish.sparse_network(cpu)
    except WeightsError:
        note = f"by the picture's edges, for {wish.sparse_to_dense} is not on this machine"
    with suppress(WeightsError):
        estimate = wish.flow_estimator(cpu)
    return ShownMotion(settings, network, estimate), note


@torch.no_grad()
def shown_pictures(shown: ShownMotion, clip: Clips, draws: Draws, note: str) -> dict[str, Frames]:
    """Hints drawn on the first frame, and the flow made of them; nothing where there is none to sample."""
    batch, region = stack([clip]), None
    try:
        if shown.motion.kind == "landmarks":
            hints = shown.face_hints(batch, 0)
        else:
            flow = shown.true_flow(batch, 0)
            region = shown.region(flow, draws, 0)
            hints = shown.hints(flow, draws.numpy("hints")[0].random, region)
    except InputError:
        return {}
    # [N, T, 2], the way of every hint that is known all along, on the clip's own grid.
    grid = hints.positions.new_tensor(
        [clip.frames.shape[-1] / hints.width, clip.frames.shape[-2] / hints.height]
    )
    start = hints.positions[:, None]
    ways = torch.cat([start, start + hints.displacement.transpose(0, 1)], dim=1) * grid
    drawn = draw_overlay(clip.frames[0], list(ways[hints.known.all(dim=0)]), [])
    dense = shown.spread(batch, 0, hints)
    painted: dict[str, Frames] = {}
    if region is not None:
        painted["what is painted as free to move"] = (region.expand(3, -1, -1) * 255).to(torch.uint8)[None]
        dense = dense * region
    return {
        **painted,
        f"{len(ways)} hints": drawn[None],
        f"dense flow of the hints, {note}": torch.cat([clip.frames[:1], flow_pictures(dense)]),
    }


def flow_pictures(flow: Float[Tensor, "S 2 H W"]) -> Frames:
    """Every step as colour, all on one scale."""
    largest = max(float(flow.norm(dim=1).max()), 1e-6)
    return torch.stack([flow_wheel(step, largest) for step in flow])


def _clip(clip: Clips, shown: Mapping[str, Frames]) -> str:
    frames = clip.frames
    if clip.landmarks is not None:
        frames = overlay_landmarks(frames, [clip.landmarks])
    pictures = {"frames": frames}
    if clip.flow is not None:
        largest = float(clip.flow.norm(dim=1).max())
        flows = torch.cat([frames[:1], flow_pictures(clip.flow)])
        pictures[f"flow from the first frame, {largest:.1f} px at most"] = flows
    if clip.visible is not None:
        seen = (clip.visible.expand(-1, 3, -1, -1) * 255).to(torch.uint8)
        pictures["where the first frame stays visible"] = torch.cat([frames[:1], seen])
    rows = "".join(
        f"<p>{html.escape(name)}<img src='{_strip(row)}'>" for name, row in {**pictures, **shown}.items()
    )
    return f"<h2>{html.escape(str(clip.name))}</h2>{rows}"


def _strip(frames: UInt8[Tensor, "T 3 H W"]) -> str:
    """Pictures side by side, as a data address."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "strip.png"
        save_png(path, torch.cat(list(frames), dim=2))
        return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
