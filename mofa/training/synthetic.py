"""Synthetic scenes whose motion is known exactly: layered textures, photos and cut-outs that move.

    scenes = SyntheticScenes(SceneSettings(height=256, width=256, num_frames=5))
    scene = scenes[12]                      # always the same scene for (settings, seed, index)
    scene.frames, scene.flow, scene.visible, scene.object_masks, scene.object_index
    scene.tracks(scene.sample_points(20, seed=0))

Layers lie one behind the other and are moved by invertible maps (`synthetic_motion`), so that flow, hidden
places and tracks follow from formulas, not from an estimate. Shadows, blur, changing light and noise change
what the frames look like and nothing of this.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mofa.errors import InputError
from mofa.tensors.flow import bilinear_sample
from mofa.tensors.geometry import pixel_grid
from mofa.training.synthetic_motion import AffinePath, Easing, Motion, Moved, Waves, gentle
from mofa.training.synthetic_textures import (
    blob,
    capsule,
    cut_out,
    layer_pixels,
    photo,
    pictures_in,
    texture,
)
from mofa.types import TrackSet

BACKGROUND = 0
"""The number of what lies behind all objects; objects are 1, 2, ... from back to front."""


@dataclass(frozen=True)
class SyntheticScene:
    """A clip and the truth about its motion. T frames, S = T - 1 steps, all from frame 0.

    `flow` is where the surface point seen at each pixel of frame 0 goes, in pixels, hidden or not;
    `visible` says whether it can be seen in that later frame: inside the picture, and nothing in front
    of it. `object_index` is what is seen at each pixel of every frame, 0 for the background;
    `object_masks` is how much of each pixel of frame 0 shows object k + 1, 0..1.
    """

    frames: Float[Tensor, "T 3 H W"]
    flow: Float[Tensor, "S 2 H W"]
    visible: Bool[Tensor, "S 1 H W"]
    object_masks: Float[Tensor, "K H W"]
    object_index: Int[Tensor, "T H W"]

    def sample_points(self, count: int, seed: int, on_objects: float = 0.7) -> Int[Tensor, "N 2"]:
        """`count` pixels (x, y) of frame 0; about a share of `on_objects` on objects, if there are any."""
        rng = np.random.Generator(np.random.Philox(key=seed))
        index = self.object_index[0]
        places = [(index > 0).nonzero(), (index == 0).nonzero()]
        wanted = round(count * on_objects) if len(places[0]) else 0
        wanted = wanted if len(places[1]) else count
        chosen = [
            place[torch.from_numpy(rng.integers(0, len(place), number))]
            for place, number in zip(places, (wanted, count - wanted), strict=True)
            if number
        ]
        return torch.cat(chosen).flip(-1)

    def tracks(self, pixels: Int[Tensor, "N 2"]) -> TrackSet:
        """The true way of these pixels (x, y) of frame 0 through the clip."""
        x, y = pixels.unbind(-1)
        moved = pixels.float() + self.flow[:, :, y, x].permute(2, 0, 1).transpose(0, 1)
        seen = self.visible[:, 0, y, x]
        points = torch.cat([pixels.float()[None], moved]).transpose(0, 1)
        return TrackSet(points, torch.cat([torch.ones_like(seen[:1]), seen]).T)


@dataclass(frozen=True)
class SceneSettings:
    """What scenes are like. Lengths are shares of the picture's short side; chances are 0..1.

    Without folders, textures and outlines are made up; `photos` replaces the textures of backgrounds and
    of made-up objects, `cutouts` (pictures with transparency) replaces half of the objects.
    """

    height: int = 256
    width: int = 256
    num_frames: int = 5
    objects: tuple[int, int] = (1, 3)
    """Fewest and most objects."""
    object_size: tuple[float, float] = (0.2, 0.5)
    """Smallest and largest side."""
    object_shift: float = 0.25
    """Longest way of an object."""
    object_turn: float = 0.6
    """Largest turn of an object, in radians."""
    object_growth: float = 0.2
    """Largest change of an object's size, as a logarithm."""
    camera_shift: float = 0.1
    """Longest way of the camera."""
    camera_turn: float = 0.1
    """Largest turn of the camera, in radians."""
    camera_growth: float = 0.1
    """Largest zoom, as a logarithm."""
    camera_chance: float = 0.6
    """How often the camera moves at all."""
    bend_chance: float = 0.35
    """How often an object is not rigid."""
    limbs_chance: float = 0.25
    """How often an object has limbs that turn about joints."""
    swing_chance: float = 0.2
    """How often a motion goes there and back."""
    shadow_chance: float = 0.4
    """How often an object throws a shadow."""
    blur_chance: float = 0.2
    """How often the picture is out of focus."""
    motion_blur_chance: float = 0.2
    """How often the shutter stays open: three moments of half a frame are averaged."""
    light_change: float = 0.15
    """Largest change of brightness over the clip."""
    noise: float = 0.01
    """Largest deviation of the noise on the frames."""
    detail: int = 6
    """Octaves of the made-up textures: the n-th has structures of 2^-n of the picture."""
    photos: Path | None = None
    cutouts: Path | None = None

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 16 or self.num_frames < 2:
            raise InputError(
                f"scenes of {self.width}x{self.height} and {self.num_frames} frames cannot be made: "
                "16 pixels a side and 2 frames are the least."
            )


@dataclass(frozen=True)
class SyntheticScenes:
    """An endless, addressable row of scenes: scene i depends on settings, seed and i alone."""

    settings: SceneSettings = SceneSettings()
    seed: int = 0

    def __getitem__(self, index: int) -> SyntheticScene:
        rng = np.random.Generator(np.random.Philox(key=[self.seed, index]))
        layers = draw_layers(self.settings, rng)
        look = draw_look(self.settings, rng)
        return render_scene(layers, look, self.settings.height, self.settings.width, self.settings.num_frames)


@dataclass(frozen=True)
class SceneLayer:
    """Pixels (RGB times alpha, alpha), top left one at `origin` (x, y) of frame 0, and how they move.

    Several layers may be one `thing` (the limbs of a figure). `shadow` is how dark its shadow is and
    `shadow_offset` where that lies, in px.
    """

    pixels: Float[Tensor, "4 h w"]
    origin: tuple[float, float]
    motion: Motion
    thing: int
    shadow: float = 0.0
    shadow_offset: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Look:
    """What the camera makes of a scene: focus blur (px), shutter (frames), light per frame, noise."""

    blur: float
    shutter: float
    light: float
    noise: Float[Tensor, "T 3 H W"] | None


def render_scene(
    layers: tuple[SceneLayer, ...], look: Look, height: int, width: int, num_frames: int
) -> SyntheticScene:
    """The clip of these layers (back to front; the first covers everything) and the truth about it."""
    times = torch.arange(num_frames) / (num_frames - 1)
    motions = [layer.motion.at(times) for layer in layers]
    laid = [_laid(layer, moved, height, width) for layer, moved in zip(layers, motions, strict=True)]
    frames = _composed(layers, laid)
    if look.shutter:
        for offset in (-look.shutter / 2, look.shutter / 2):
            moments = times + offset / (num_frames - 1)
            frames = frames + _composed(
                layers, [_laid(layer, layer.motion.at(moments), height, width) for layer in layers]
            )
        frames = frames / 3
    coverage = torch.stack([picture[:, 3] for picture in laid], dim=1)
    flow, visible = _truth(motions, coverage)
    return SyntheticScene(
        frames=_seen(frames, look),
        flow=flow,
        visible=visible,
        object_masks=_masks(layers, coverage[0]),
        object_index=_things(layers)[_frontmost(coverage)],
    )


def _laid(layer: SceneLayer, moved: Moved, height: int, width: int) -> Float[Tensor, "T 4 H W"]:
    """A layer's pixels where they are in every frame, transparent around them."""
    canvas = layer.pixels.new_zeros(len(moved.bend), 4, height, width)
    origin = canvas.new_tensor(layer.origin)
    for i, picture in enumerate(canvas):
        now = moved[i : i + 1]
        rows, columns = _window(layer, now, height, width)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        here = pixel_grid(rows.stop - rows.start, columns.stop - columns.start, canvas)
        here = here + here.new_tensor([columns.start, rows.start])[:, None, None]
        source = now.backward(here) - origin[:, None, None]
        picture[:, rows, columns] = bilinear_sample(layer.pixels[None], source)[0]
    return canvas


def _window(layer: SceneLayer, now: Moved, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns that the layer can reach at one time; the background reaches all."""
    if layer.thing == BACKGROUND:
        return slice(0, height), slice(0, width)
    left, top = layer.origin
    right, bottom = left + layer.pixels.shape[2] - 1, top + layer.pixels.shape[1] - 1
    corners = torch.tensor([[left, right, left, right], [top, top, bottom, bottom]])
    straight = Moved(now.matrices, torch.zeros(1), None).forward(corners)[0]
    reach = 2.0
    if now.waves is not None:
        scale = torch.linalg.matrix_norm(now.matrices[0, :, :2], 2)
        reach += float(now.waves.height.norm(dim=1).sum() * scale)
    low = (straight.amin(dim=1) - reach).floor().int().clamp(min=0).tolist()
    high = (straight.amax(dim=1) + reach).ceil().int().tolist()
    return slice(low[1], min(height, high[1] + 1)), slice(low[0], min(width, high[0] + 1))


def _composed(
    layers: tuple[SceneLayer, ...], laid: list[Float[Tensor, "T 4 H W"]]
) -> Float[Tensor, "T 3 H W"]:
    """Back to front, every layer over what is behind it, its shadow first."""
    frames = laid[0][:, :3]
    for layer, picture in zip(layers[1:], laid[1:], strict=True):
        if layer.shadow:
            frames = frames * (1 - layer.shadow * _shadow(picture[:, 3:], layer.shadow_offset))
        frames = frames * (1 - picture[:, 3:]) + picture[:, :3]
    return frames


def _shadow(alpha: Float[Tensor, "T 1 H W"], offset: tuple[float, float]) -> Float[Tensor, "T 1 H W"]:
    """The coverage, blurred and moved by whole pixels; nothing comes in from beyond the border."""
    height, width = alpha.shape[-2:]
    # A shadow is soft: a quarter of the size holds it.
    coarse = F.avg_pool2d(F.avg_pool2d(alpha, 4, ceil_mode=True), 3, 1, 1)
    soft = F.interpolate(coarse, (height, width), mode="bilinear")
    x, y = round(offset[0]), round(offset[1])
    return F.pad(soft, (x, -x, y, -y))


def _seen(frames: Float[Tensor, "T 3 H W"], look: Look) -> Float[Tensor, "T 3 H W"]:
    """Focus, light and noise."""
    if look.blur:
        reach = max(1, round(2 * look.blur))
        offsets = torch.arange(-reach, reach + 1, dtype=frames.dtype)
        kernel = torch.exp(-0.5 * (offsets / look.blur) ** 2)
        kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
        frames = F.conv2d(F.pad(frames, (reach, reach, 0, 0), mode="replicate"), kernel, groups=3)
        frames = F.conv2d(F.pad(frames, (0, 0, reach, reach), mode="replicate"), kernel.mT, groups=3)
    light = 1 + look.light * torch.linspace(0, 1, len(frames)).view(-1, 1, 1, 1)
    frames = frames * light
    return (frames if look.noise is None else frames + look.noise).clamp(0, 1)


def _frontmost(coverage: Float[Tensor, "T L H W"]) -> Int[Tensor, "T H W"]:
    """The number of the frontmost layer that covers at least half of each pixel."""
    front = torch.zeros_like(coverage[:, 0], dtype=torch.int64)
    for number in range(1, coverage.shape[1]):
        front[coverage[:, number] >= 0.5] = number
    return front


def _things(layers: tuple[SceneLayer, ...]) -> Int[Tensor, " L"]:
    return torch.tensor([layer.thing for layer in layers])


def _masks(layers: tuple[SceneLayer, ...], coverage: Float[Tensor, "L H W"]) -> Float[Tensor, "K H W"]:
    """How much of each pixel shows each object."""
    seen = torch.empty_like(coverage)
    free = torch.ones_like(coverage[0])
    for i in reversed(range(len(layers))):
        seen[i] = free * coverage[i]
        free = free * (1 - coverage[i])
    things = _things(layers)
    return seen.new_zeros(int(things.max()) + 1, *seen.shape[1:]).index_add(0, things, seen)[1:]


def _truth(
    motions: list[Moved], coverage: Float[Tensor, "T L H W"]
) -> tuple[Float[Tensor, "S 2 H W"], Bool[Tensor, "S 1 H W"]]:
    """Flow of what frame 0 shows, and whether each later frame shows it."""
    steps, _, height, width = coverage[1:].shape
    layer_of = _frontmost(coverage[:1])[0]
    grid = pixel_grid(height, width, coverage)
    flow = coverage.new_zeros(steps, 2, height, width)
    visible = torch.zeros(steps, 1, height, width, dtype=torch.bool)
    in_front = torch.zeros_like(coverage[1:, :1])
    limits = coverage.new_tensor([width, height])[:, None] - 0.5
    for number in reversed(range(len(motions))):
        mask = layer_of == number
        if mask.any():
            there = motions[number][slice(1, None)].forward(grid[:, mask])
            inside = ((there >= -0.5) & (there <= limits)).all(dim=1)
            hidden = bilinear_sample(in_front, there)[:, 0] >= 0.5
            flow[:, :, mask] = there - grid[:, mask]
            visible[:, 0, mask] = inside & ~hidden
        in_front = 1 - (1 - in_front) * (1 - coverage[1:, number : number + 1])
    return flow, visible


def draw_look(settings: SceneSettings, rng: np.random.Generator) -> Look:
    """How a scene is filmed."""
    size = (settings.num_frames, 3, settings.height, settings.width)
    blurred, shutter = rng.random() < settings.blur_chance, rng.random() < settings.motion_blur_chance
    deviation = rng.uniform(0, settings.noise)
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    noise = torch.randn(size, generator=generator) * deviation if deviation else None
    return Look(
        blur=rng.uniform(0.5, 1.5) if blurred else 0.0,
        shutter=0.5 if shutter else 0.0,
        light=rng.uniform(-1, 1) * settings.light_change,
        noise=noise,
    )


def draw_layers(settings: SceneSettings, rng: np.random.Generator) -> tuple[SceneLayer, ...]:
    """A background and its objects, back to front, under one camera."""
    camera = _draw_camera(settings, rng)
    layers = [_draw_background(settings, rng, camera)]
    count = int(rng.integers(settings.objects[0], settings.objects[1] + 1))
    for thing in range(1, count + 1):
        layers += _draw_object(settings, rng, camera, thing)
    return tuple(layers)


def _draw_camera(settings: SceneSettings, rng: np.random.Generator) -> AffinePath:
    centre = ((settings.width - 1) / 2, (settings.height - 1) / 2)
    if rng.random() >= settings.camera_chance:
        return AffinePath(centre)
    short = min(settings.height, settings.width)
    return AffinePath(
        centre,
        shift=_vector(rng, settings.camera_shift * short),
        turn=rng.uniform(-1, 1) * settings.camera_turn,
        log_scale=rng.uniform(-1, 1) * settings.camera_growth,
        easing=_draw_easing(settings, rng),
    )


def _draw_background(settings: SceneSettings, rng: np.random.Generator, camera: AffinePath) -> SceneLayer:
    # As much beyond the picture as the camera can uncover; past that the border is repeated.
    short = min(settings.height, settings.width)
    margin = round(short * (settings.camera_shift + settings.camera_growth + settings.camera_turn))
    height, width = settings.height + 2 * margin, settings.width + 2 * margin
    colour = _draw_colour(settings, rng, height, width)
    pixels = layer_pixels(colour, torch.ones(height, width))
    return SceneLayer(pixels, (-float(margin), -float(margin)), Motion((camera,)), BACKGROUND)


def _draw_colour(
    settings: SceneSettings, rng: np.random.Generator, height: int, width: int
) -> Float[Tensor, "3 {height} {width}"]:
    if settings.photos is None:
        return texture(rng, height, width, settings.detail)
    pictures = pictures_in(settings.photos)
    return photo(pictures[int(rng.integers(len(pictures)))], rng, height, width)


def _draw_object(
    settings: SceneSettings, rng: np.random.Generator, camera: AffinePath, thing: int
) -> list[SceneLayer]:
    """One object: a shape or cut-out, or a body with limbs."""
    short = min(settings.height, settings.width)
    side = max(8, round(short * rng.uniform(*settings.object_size)))
    middle = (
        rng.uniform(0.15, 0.85) * (settings.width - 1),
        rng.uniform(0.15, 0.85) * (settings.height - 1),
    )
    own = AffinePath(
        middle,
        shift=_vector(rng, settings.object_shift * short),
        curve=_vector(rng, 0.25 * settings.object_shift * short),
        turn=rng.uniform(-1, 1) * settings.object_turn,
        log_scale=rng.uniform(-1, 1) * settings.object_growth,
        shear=rng.uniform(-1, 1) * 0.3 * settings.object_growth,
        easing=_draw_easing(settings, rng),
    )
    if own.easing.swings:
        own = replace(own, curve=(0.0, 0.0))
    shadow = rng.uniform(0.2, 0.6) if rng.random() < settings.shadow_chance else 0.0
    offset = _vector(rng, 0.25 * side)
    if rng.random() < settings.limbs_chance:
        return [
            replace(layer, shadow=shadow, shadow_offset=offset)
            for layer in _draw_figure(settings, rng, (camera, own), side, middle, thing)
        ]
    pixels = _draw_shape(settings, rng, side)
    origin = (middle[0] - (pixels.shape[2] - 1) / 2, middle[1] - (pixels.shape[1] - 1) / 2)
    waves = _draw_waves(settings, rng, side) if rng.random() < settings.bend_chance else None
    return [SceneLayer(pixels, origin, Motion((camera, own), waves), thing, shadow, offset)]


def _draw_shape(settings: SceneSettings, rng: np.random.Generator, side: int) -> Float[Tensor, "4 h w"]:
    if settings.cutouts is not None and rng.random() < 0.5:
        pictures = pictures_in(settings.cutouts)
        return cut_out(pictures[int(rng.integers(len(pictures)))], side)
    return layer_pixels(_draw_colour(settings, rng, side, side), blob(rng, side))


def _draw_figure(
    settings: SceneSettings,
    rng: np.random.Generator,
    outer: tuple[AffinePath, ...],
    side: int,
    middle: tuple[float, float],
    thing: int,
) -> list[SceneLayer]:
    """A chain of two to four limbs, each turning about the joint with the one before it."""
    count = int(rng.integers(2, 5))
    canvas, length = 2 * side, side / count
    radius = max(2.0, length * rng.uniform(0.2, 0.4))
    colour = _draw_colour(settings, rng, canvas, canvas)
    origin = (middle[0] - (canvas - 1) / 2, middle[1] - (canvas - 1) / 2)
    angle, joint = rng.uniform(0, 2 * np.pi), ((canvas - 1) / 2, (canvas - 1) / 2)
    paths, layers = outer, []
    for _ in range(count):
        end = (joint[0] + length * np.cos(angle), joint[1] + length * np.sin(angle))
        pivot = (origin[0] + joint[0], origin[1] + joint[1])
        turn = rng.uniform(-1, 1) * settings.object_turn
        paths = (*paths, AffinePath(pivot, turn=turn, easing=_draw_easing(settings, rng)))
        pixels = layer_pixels(colour, capsule(canvas, joint, end, radius))
        layers.append(_trimmed(SceneLayer(pixels, origin, Motion(paths), thing)))
        angle, joint = angle + rng.uniform(-0.8, 0.8), end
    return layers


def _trimmed(layer: SceneLayer) -> SceneLayer:
    """The same layer without the transparent surroundings that it does not need."""
    rows, columns = (layer.pixels[3].amax(dim=axis).nonzero().flatten() for axis in (1, 0))
    height, width = layer.pixels.shape[1:]
    top, bottom = max(0, int(rows[0]) - 1), min(height, int(rows[-1]) + 2)
    left, right = max(0, int(columns[0]) - 1), min(width, int(columns[-1]) + 2)
    origin = (layer.origin[0] + left, layer.origin[1] + top)
    return replace(layer, pixels=layer.pixels[:, top:bottom, left:right].contiguous(), origin=origin)


def _draw_waves(settings: SceneSettings, rng: np.random.Generator, side: int) -> Waves:
    count = int(rng.integers(1, 4))
    length = side * rng.uniform(0.7, 2.0, count)
    angle = rng.uniform(0, 2 * np.pi, count)
    frequency = 2 * np.pi / length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    height = rng.normal(0, 0.06 * side, (count, 2))
    phase = rng.uniform(0, 2 * np.pi, count)
    return gentle(
        Waves(
            height=torch.from_numpy(height).float(),
            frequency=torch.from_numpy(frequency).float(),
            phase=torch.from_numpy(phase).float(),
            easing=_draw_easing(settings, rng),
        )
    )


def _draw_easing(settings: SceneSettings, rng: np.random.Generator) -> Easing:
    if rng.random() < settings.swing_chance:
        return Easing(swings=rng.uniform(0.25, 1.0))
    return Easing(("linear", "linear", "in", "out", "in-out")[int(rng.integers(5))])


def _vector(rng: np.random.Generator, longest: float) -> tuple[float, float]:
    """A vector of random direction, no longer than that."""
    angle, length = rng.uniform(0, 2 * np.pi), longest * rng.uniform(0, 1)
    return float(length * np.cos(angle)), float(length * np.sin(angle))
