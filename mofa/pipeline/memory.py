"""What making a clip takes of the main memory, beside torch and the libraries: estimated from what a request
names, before any of it is decoded.

Estimates may be too high, and should not be too low. What renderers take is growth of resident memory over a
process that has imported everything, with a quarter added (tools/memory_figures.py measures it); what photos,
masks, files of tracks, videos and faces take is reckoned from what is kept while they are read, rounded up.
"""

from collections.abc import Iterator
from pathlib import Path

from mofa.errors import InputError
from mofa.media.image import picture_size
from mofa.pipeline.animate import size_for
from mofa.pipeline.engine import default_renderer
from mofa.pipeline.request import (
    AnimationRequest,
    CameraControl,
    MaskRegion,
    ReferenceControl,
    StillControl,
    TrackControl,
)
from mofa.pipeline.tables import RENDERERS

ALWAYS = 200_000_000
"""Bytes of whatever clip: encoders, the sense of things, what is imported on the way."""
PER_PHOTO_PIXEL, PER_MASK_PIXEL = 30, 20
"""Bytes while a photo (12 when it is decoded) or a mask (4) is read and cut to the clip's size; reading takes
20 and 16, measured on 49 megapixels."""
TRACK, MOST_TRACKS = 4_000_000, 100
"""Bytes while the sense of things is asked about a track, and about how many it is asked at once."""
TRACK_FILE, REFERENCE, FACE_VIDEO, FACE_SOUND = 500_000_000, 700_000_000, 500_000_000, 300_000_000
"""Bytes of a file of tracks at its limits, of a video that is measured, and of what drives a face."""


PER_DEPTH_PIXEL = 110
"""Bytes per pixel of a clip in which what is near moves further."""


def needed_memory(request: AnimationRequest) -> int:
    """Bytes that a request takes at its height; a scene's files are looked at by their headers alone.

    What is missing counts nothing: whoever reads it says so. Raises ResourceError for an absent device.
    """
    width, height = _size(request.picture)
    total = ALWAYS + PER_PHOTO_PIXEL * width * height
    total += sum(PER_MASK_PIXEL * w * h for w, h in map(_size, set(_pictures(request))))
    tracks = [control for control in request.controls if isinstance(control, TrackControl)]
    total += TRACK * min(len(tracks), MOST_TRACKS)
    for control in request.controls:
        total += TRACK_FILE * (isinstance(control, TrackControl) and control.file is not None)
        total += REFERENCE * isinstance(control, ReferenceControl)
    for face in request.driven_faces:
        total += FACE_VIDEO if face.video is not None else FACE_SOUND
    if request.size is not None or width * height:
        width, height = request.size or size_for(request, width, height)
        deep = any(isinstance(c, CameraControl) and c.depth is not None for c in request.controls)
        total += PER_DEPTH_PIXEL * deep * width * height
    renderer = RENDERERS[request.renderer or default_renderer(request)]
    return round(total + renderer.memory(request, width, height, request.num_frames))


def _pictures(request: AnimationRequest) -> Iterator[Path]:
    """Everything that is read as a mask."""
    regions = [request.region, *(control.own_region for control in request.controls)]
    yield from (region.mask for region in regions if isinstance(region, MaskRegion))
    for control in request.controls:
        if isinstance(control, CameraControl) and control.depth is not None:
            yield control.depth
        if isinstance(control, StillControl) and control.mask is not None:
            yield control.mask


def _size(picture: Path | None) -> tuple[int, int]:
    if picture is None:
        return 0, 0
    try:
        return picture_size(picture)
    except InputError:
        return 0, 0
