"""The regions that a request names, as masks on the working picture."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from mofa.control.brush import band, fit_mask
from mofa.control.selection import Selection
from mofa.errors import InputError, about
from mofa.pipeline.inputs import Inputs
from mofa.pipeline.request import (
    AnimationRequest,
    BorderRegion,
    CameraControl,
    Control,
    MaskRegion,
    Region,
    SelectedRegion,
    ThingControl,
    TrackControl,
)
from mofa.pipeline.selected import selected
from mofa.types import SenseOfThings, SourceImage

Regions = Mapping[Region | None, Float[Tensor, "1 H W"] | None]
"""The painted or selected masks of a scene on the working picture; None is the whole picture."""


def region_of(control: Control, request: AnimationRequest) -> Region | None:
    """Where a control may move things: its own region, else the scene's; the camera has only its own."""
    region = control.own_region
    if region is None and not isinstance(control, CameraControl):
        region = request.region
    if not isinstance(control, ThingControl) or not control.with_shadow:
        return region
    if region is None and isinstance(control, TrackControl) and control.points is not None:
        region = SelectedRegion(select=Selection((control.points[0],)))
    if region is None or isinstance(region, BorderRegion):
        return region
    return region.model_copy(update={"with_shadow": True})


def working_regions(
    request: AnimationRequest, inputs: Inputs, source: SourceImage, sense: SenseOfThings | None
) -> tuple[Regions, tuple[str, ...]]:
    """The masks of all regions that the request names, each fitted or found once, and what to say of them."""
    masks: dict[Region | None, Float[Tensor, "1 H W"] | None] = {}
    notes: tuple[str, ...] = ()
    for control in request.controls:
        region = region_of(control, request)
        if region in masks:
            continue
        if isinstance(region, SelectedRegion):
            masks[region], found = selected(region.select, inputs.original, source, sense)
            notes += found
        elif isinstance(region, BorderRegion):
            masks[region] = band(region.border, *source.pixels.shape[1:]).to(source.pixels)
            continue
        else:
            with about(request.place_of(control, "region")):
                masks[region] = None if region is None else _painted(region, inputs, source)
        own = masks[region]
        if region is not None and region.with_shadow and own is not None:
            # Few regions take their shadow along, and SciPy takes a quarter of a second to import.
            from mofa.vision.shadow import shadow_of

            shadow = shadow_of(source.pixels, own)
            masks[region] = own if shadow is None else own.maximum(shadow)
            notes += () if shadow is not None else ("the thing has no shadow or reflection to be seen.",)
    return masks, notes


def _painted(region: MaskRegion, inputs: Inputs, source: SourceImage) -> Float[Tensor, "1 H W"]:
    original = inputs.original
    try:
        return fit_mask(inputs.masks[region.mask], original.width, original.height, source.crop)
    except InputError as error:
        raise InputError(f"{region.mask}: {error}", key=error.key, **error.values) from error
