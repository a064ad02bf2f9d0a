"""Faces found with MediaPipe's face mesh: in a picture, and followed through a video.

The model file comes with mofa (assets/NOTICE.md) and is checked by its hash before it is opened; nothing is
looked up in any network.
"""

import hashlib
import io
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence, Sized
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from mofa.errors import InputError, ResourceError, WeightsError
from mofa.faces.points import face_size, points_of_mesh
from mofa.faces.smoothing import at_times, bridge, smooth
from mofa.media.decode import evenly
from mofa.types import LandmarkClip, Note, Progress, silent, unsaid

MODEL = Path(__file__).parents[1] / "assets" / "face_landmarker.task"
MODEL_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"

SMALLEST_FACE = 32.0
"""Pixels: a smaller face has no mouth to speak of."""
MOST_FACES = 10
WINDOW_SHARES = (0.6, 0.35)
"""Sides of the windows that a picture is searched in, besides the whole of it: the detector sees 128 x 128
pixels and finds only faces that are large in them."""
DEEPER_SHARES = (0.2,)
"""Windows that a picture is searched in where larger ones show no face at all."""
SEARCHED_EVERY = 5
"""Frames: how often the beginning of a video is searched in windows while no face is seen."""
CLOSER = 0.6
"""Of the square before: where a face is pointed at that no window shows, smaller and smaller ones are looked
at."""
CLOSEST = 2.5 * SMALLEST_FACE
"""Pixels of the last such square's side."""
LARGE, NEAR = 0.3, 1.6
"""A face smaller than this share of its picture is looked at again, in a square of so many sizes around."""
SEEN_ENOUGH = 0.2
"""Share of a video's frames in which its face has to be seen for the rest to be bridged."""
PLAIN_CONFIDENCE = 0.5
"""Of a face that the mesh fits and that the detector, asked again, does not see."""


@dataclass(frozen=True)
class Face:
    """A face in a picture.

    `mesh` is MediaPipe's dense mesh in pixels (x, y) with depth z on the same scale, smaller being nearer;
    `score` the detector's confidence 0..1; `blendshapes` MediaPipe's 52 expression curves 0..1, in its order.
    """

    mesh: Float[Tensor, "478 3"]
    score: float
    blendshapes: Float[Tensor, "52"]

    @property
    def points(self) -> Float[Tensor, "68 2"]:
        """The 68 points in pixels."""
        return points_of_mesh(self.mesh)

    @property
    def size(self) -> float:
        """In pixels, see `face_size`."""
        return float(face_size(self.points))


@dataclass(frozen=True)
class FaceTrack:
    """One face through T frames; `found` is False where it was not seen and is bridged."""

    mesh: Float[Tensor, "T 478 3"]
    blendshapes: Float[Tensor, "T 52"]
    score: Float[Tensor, " T"]
    found: Bool[Tensor, " T"]
    fps: float

    @property
    def landmarks(self) -> LandmarkClip:
        """The 68 points, tremor taken out without lag; bridged frames have score 0."""
        points = points_of_mesh(self.mesh)
        smoothed = smooth(points, self.fps, unit=float(face_size(points).mean()))
        return LandmarkClip(smoothed, self.score * self.found, self.fps)

    @property
    def gaps(self) -> tuple[tuple[int, int], ...]:
        """First and last frame of every stretch in which the face was not seen."""
        lost = [False, *(~self.found).tolist(), False]
        edges = [frame for frame in range(len(lost) - 1) if lost[frame] != lost[frame + 1]]
        return tuple((start, end - 1) for start, end in zip(edges[::2], edges[1::2], strict=True))


def in_step(track: FaceTrack, starts: Sequence[float], end: float) -> FaceTrack:
    """A face followed through frames that begin at `starts` and end at `end` (seconds), at a steady rate from
    the file's time 0 on: linear in between, still before the first frame.

    It counts as seen where the frames around are.
    """
    fps, shown = evenly(starts, end)
    lead = round(starts[0] * fps)
    if lead == 0 and shown == list(range(len(starts))):
        return replace(track, fps=fps)
    times = torch.tensor([start - starts[0] for start in starts], dtype=torch.float64)
    wanted = (torch.arange(lead + len(shown), dtype=torch.float64) - lead) / fps

    def moved(values: Tensor) -> Tensor:
        return at_times(values, times, wanted)

    return FaceTrack(
        mesh=moved(track.mesh),
        blendshapes=moved(track.blendshapes),
        score=moved(track.score),
        found=moved(track.found.float()) > 0.99,
        fps=fps,
    )


class FaceFinder:
    """The opened model. Made by `open_face_finder`, which closes it again."""

    def __init__(self, mesher: Any, detector: Any, image_of: Any) -> None:
        self.mesher, self.detector, self.image_of = mesher, detector, image_of

    def look(self, picture: UInt8[Tensor, "3 H W"]) -> tuple[Face, ...]:
        """The faces that are seen at first sight, in no order, small ones looked at again from near."""
        return tuple(self._from_near(picture, face) for face in self._glance(picture))

    def _glance(self, picture: UInt8[Tensor, "3 H W"]) -> tuple[Face, ...]:
        seen = self.mesher.detect(self._image(picture))
        height, width = picture.shape[1:]
        faces = []
        for points, shapes in zip(seen.face_landmarks, seen.face_blendshapes, strict=True):
            mesh = torch.tensor([(p.x * width - 0.5, p.y * height - 0.5, p.z * width) for p in points])
            curves = torch.tensor([shape.score for shape in shapes])
            faces.append(Face(mesh, self._confidence(picture, mesh), curves))
        return tuple(faces)

    def search(self, picture: UInt8[Tensor, "3 H W"]) -> tuple[Face, ...]:
        """All faces of a picture, the largest first: it is looked at as a whole and in ever smaller windows.

        A face that several windows show is taken from the largest of them. Where none is seen in all of
        them, even smaller windows are looked at.
        """
        faces = self.in_windows(picture, (1.0, *WINDOW_SHARES)) or self.in_windows(picture, DEEPER_SHARES)
        return tuple(sorted(faces, key=lambda face: -face.size))

    def in_windows(self, picture: UInt8[Tensor, "3 H W"], shares: Sequence[float]) -> list[Face]:
        """The faces in windows with these shares of the picture's long side, each once."""
        faces: list[Face] = []
        for rows, columns in windows_of(picture.shape[1], picture.shape[2], shares):
            for face in self._within(picture, rows, columns):
                if not any(same_face(face, other) for other in faces):
                    faces.append(face)
        return faces

    def at(self, picture: UInt8[Tensor, "3 H W"], point: tuple[float, float]) -> Face | None:
        """The face at a point (x, y), looked for in ever smaller squares around it."""
        side = CLOSER * max(picture.shape[1:])
        while side >= CLOSEST:
            rows, columns = _square(torch.tensor(point), side / 2, picture)
            near = [face for face in self._within(picture, rows, columns) if lies_at(face, point)]
            if near:
                return choose_face(near, point, "")
            side *= CLOSER
        return None

    def again(self, picture: UInt8[Tensor, "3 H W"], last: Face) -> Face | None:
        """A face of the frame before, looked for where it was: at a glance small faces are not seen."""
        rows, columns = _around(last.mesh, NEAR * last.size, picture)
        return _nearest(self._within(picture, rows, columns), last)

    def _within(self, picture: UInt8[Tensor, "3 H W"], rows: slice, columns: slice) -> list[Face]:
        window = picture[:, rows, columns].contiguous()
        if 0 in window.shape:
            return []
        return [shifted(face, columns.start, rows.start) for face in self.look(window)]

    def _from_near(self, picture: UInt8[Tensor, "3 H W"], face: Face) -> Face:
        """The same face, seen larger: the mesh may lie beside a face that is small in its picture."""
        if face.size > LARGE * max(picture.shape[1:]):
            return face
        rows, columns = _around(face.mesh, NEAR * face.size, picture)
        again = self._glance(picture[:, rows, columns].contiguous())
        found = [shifted(other, columns.start, rows.start) for other in again]
        return _nearest(found, face) or face

    def _confidence(self, picture: UInt8[Tensor, "3 H W"], mesh: Float[Tensor, "478 3"]) -> float:
        """The detector's own score of the face, looked at closely."""
        rows, columns = _around(mesh, float(face_size(points_of_mesh(mesh))), picture)
        close = picture[:, rows, columns]
        if 0 in close.shape:
            return PLAIN_CONFIDENCE
        found = self.detector.detect(self._image(close)).detections
        return max([PLAIN_CONFIDENCE, *(one.categories[0].score for one in found)])

    def _image(self, picture: UInt8[Tensor, "3 H W"]) -> Any:
        return self.image_of(np.ascontiguousarray(picture.permute(1, 2, 0).cpu().numpy()))


@contextmanager
def open_face_finder() -> Iterator[FaceFinder]:
    """The face mesh, ready to look at pictures.

    Raises ResourceError when mediapipe is not installed, WeightsError when the model file is not the one that
    mofa comes with.
    """
    data = model_bytes()
    with ExitStack() as open_tasks:
        with _muted():
            try:
                import mediapipe
                from mediapipe.tasks.python import BaseOptions, vision
            except ImportError as error:
                raise ResourceError(
                    'Finding faces needs the faces extra: pip install "mofa-video[faces]", or give the '
                    "68 points by hand with --landmarks points.json.",
                    key="faces.extra",
                ) from error
            mesher = vision.FaceLandmarker.create_from_options(
                vision.FaceLandmarkerOptions(
                    base_options=BaseOptions(model_asset_buffer=data),
                    output_face_blendshapes=True,
                    num_faces=MOST_FACES,
                )
            )
            open_tasks.callback(mesher.close)
            inner = zipfile.ZipFile(io.BytesIO(data)).read("face_detector.tflite")
            detector = vision.FaceDetector.create_from_options(
                vision.FaceDetectorOptions(base_options=BaseOptions(model_asset_buffer=inner))
            )
            open_tasks.callback(detector.close)

            def image_of(pixels: Any) -> Any:
                return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)

            finder = FaceFinder(mesher, detector, image_of)
            finder.look(torch.zeros(3, 64, 64, dtype=torch.uint8))  # the rest of its start-up talk
        yield finder


def find_face(
    picture: UInt8[Tensor, "3 H W"], which: int | tuple[float, float] = 1, what: str = "the picture"
) -> tuple[Face, int]:
    """The face that is meant, and how many there are.

    `which` is a number, 1 being the largest face, or a point (x, y) in pixels that lies on it: there it is
    looked for more closely. Raises InputError: there is none, not so many, none at that point, or the one
    that is meant is too small.
    """
    height, width = picture.shape[1:]
    with open_face_finder() as finder:
        faces = finder.search(picture)
        if not isinstance(which, int) and not any(lies_at(face, which) for face in faces):
            closer = finder.at(picture, which)
            if closer is None and faces:
                raise InputError(
                    _elsewhere(choose_face(faces, which, what), which, what), key="face.elsewhere"
                )
            faces = faces if closer is None else (*faces, closer)
    if not faces:
        windows = [f"{share:.0%}" for share in (*WINDOW_SHARES, *DEEPER_SHARES)]
        raise InputError(
            f"no face was found in {what} ({width} x {height} pixels), looking at the whole and at windows "
            f"of {', '.join(windows[:-1])} and {windows[-1]} of it: point at it with --face x,y, "
            "give a larger or more frontal face, or its 68 points by hand with --landmarks points.json.",
            key="face.none",
        )
    face = choose_face(faces, which, what)
    if face.size < SMALLEST_FACE:
        raise InputError(
            f"the face in {what} is only {face.size:.0f} pixels large, which is too small to be driven: give "
            f"a picture in which it has {SMALLEST_FACE:.0f} or more.",
            key="face.small",
            least=f"{SMALLEST_FACE:.0f}",
        )
    return face, len(faces)


def lies_at(face: Face, point: tuple[float, float]) -> bool:
    """Whether a point in pixels lies on a face, or hardly beside it."""
    return float((face.points.mean(0) - torch.tensor(point)).norm()) < face.size


def _elsewhere(nearest: Face, point: tuple[float, float], what: str) -> str:
    x, y = nearest.points.mean(0).tolist()
    return (
        f"no face was found at {point[0]:.0f},{point[1]:.0f} in {what}, looking as closely as at "
        f"{CLOSEST:.0f} pixels around; the nearest that was lies at {x:.0f},{y:.0f}: point at it, or give "
        "the 68 points of yours by hand with --landmarks points.json."
    )


def choose_face(faces: Sequence[Face], which: int | tuple[float, float], what: str) -> Face:
    """The face of that number (1 is the first), or the one whose middle lies nearest to a point."""
    if isinstance(which, int):
        if not 1 <= which <= len(faces):
            raise InputError(
                f"face {which} was asked for, but {what} shows {len(faces)}: choose from 1 (the largest) to "
                f"{len(faces)}, or click on the face.",
                key="face.which",
                count=len(faces),
            )
        return faces[which - 1]
    point = torch.tensor(which)
    return min(faces, key=lambda face: float((face.points.mean(0) - point).norm()))


def follow_face(
    frames: Iterable[UInt8[Tensor, "3 H W"]],
    fps: float,
    which: int | tuple[float, float] = 1,
    what: str = "the video",
    progress: Progress = silent,
    note: Note = unsaid,
) -> FaceTrack:
    """One face through a video: the one meant in the first frame that shows any, then always the nearest.

    What is pointed at, and what was there in the frame before, is looked for more closely there.
    Frames are taken one at a time and let go. Where the face is not seen it is bridged in a straight line.
    `note` is told where the first of several faces is followed.
    Raises InputError when no frame shows a face, when too few do, or when it is too small.
    """
    tracked: list[Face | None] = []
    last: Face | None = None
    height = width = 0
    expected = len(frames) if isinstance(frames, Sized) else 0
    with open_face_finder() as finder:
        for index, frame in enumerate(frames):
            height, width = frame.shape[-2:]
            if last is None:
                faces = _seen_first(finder, frame, which, thoroughly=index % SEARCHED_EVERY == 0)
                face = choose_face(faces, which, what) if faces else None
                if len(faces) > 1 and which == 1:
                    note(
                        f"{what} shows {len(faces)} faces, and the largest is followed: cut the picture to "
                        "another one to follow that."
                    )
            else:
                face = _nearest(finder.look(frame), last) or finder.again(frame, last)
            tracked.append(face)
            last = face or last
            progress("faces", index + 1, max(index + 1, expected))
    if last is None:
        raise InputError(
            f"no face was found in {what} ({len(tracked)} frames of {width} x {height} pixels), looking at "
            "each as a whole and in windows: give a video that shows a larger or more frontal face.",
            key="face.none",
        )
    found = torch.tensor([face is not None for face in tracked])
    if found.float().mean() < SEEN_ENOUGH:
        raise InputError(
            f"a face is seen in only {int(found.sum())} of the {len(tracked)} frames of {what}: cut it "
            "to where its face is seen.",
            key="face.seldom",
        )
    filled = [face or last for face in tracked]
    track = FaceTrack(
        mesh=bridge(torch.stack([face.mesh for face in filled]), found),
        blendshapes=bridge(torch.stack([face.blendshapes for face in filled]), found),
        score=torch.tensor([face.score if seen else 0.0 for face, seen in zip(filled, found, strict=True)]),
        found=found,
        fps=fps,
    )
    size = float(face_size(points_of_mesh(track.mesh)).mean())
    if size < SMALLEST_FACE:
        raise InputError(
            f"the face in {what} is only {size:.0f} pixels large, which is too small to drive another: give "
            f"a video in which it has {SMALLEST_FACE:.0f} or more.",
            key="face.small",
            least=f"{SMALLEST_FACE:.0f}",
        )
    return track


def _seen_first(
    finder: FaceFinder,
    frame: UInt8[Tensor, "3 H W"],
    which: int | tuple[float, float],
    thoroughly: bool,
) -> Sequence[Face]:
    """The faces of a frame before which none was seen, the largest first; where one is pointed at that only a
    closer look shows, that one."""
    faces: Sequence[Face] = finder.look(frame)
    if not faces and thoroughly:
        faces = finder.in_windows(frame, WINDOW_SHARES)
    if thoroughly and not isinstance(which, int) and not any(lies_at(face, which) for face in faces):
        closer = finder.at(frame, which)
        faces = faces if closer is None else (closer,)
    return sorted(faces, key=lambda face: -face.size)


def _nearest(faces: Sequence[Face], last: Face) -> Face | None:
    """The face that is where the last one was; another person far away is none."""
    near = [face for face in faces if float((face.points.mean(0) - last.points.mean(0)).norm()) < last.size]
    return choose_face(near, tuple(last.points.mean(0).tolist()), "") if near else None


def shifted(face: Face, across: int, down: int) -> Face:
    """A face that was found in a window, in the pixels of the picture."""
    return replace(face, mesh=face.mesh + torch.tensor([float(across), float(down), 0.0]))


def _around(
    mesh: Float[Tensor, "478 3"], radius: float, picture: UInt8[Tensor, "3 H W"]
) -> tuple[slice, slice]:
    """Rows and columns of a square around a face, as far as the picture goes."""
    return _square(mesh[:, :2].mean(0), radius, picture)


def _square(
    middle: Float[Tensor, "2"], radius: float, picture: UInt8[Tensor, "3 H W"]
) -> tuple[slice, slice]:
    _, height, width = picture.shape
    low = (middle - radius).floor().long().clamp(min=0).tolist()
    high = (middle + radius).ceil().long().clamp(min=1).tolist()
    return slice(low[1], min(high[1], height)), slice(low[0], min(high[0], width))


def same_face(one: Face, other: Face) -> bool:
    """Whether two findings overlap so much that they are one face."""
    apart = float((one.points.mean(0) - other.points.mean(0)).norm())
    return apart < 0.5 * max(one.size, other.size)


def windows_of(
    height: int, width: int, shares: Sequence[float] = (1.0, *WINDOW_SHARES)
) -> Iterator[tuple[slice, slice]]:
    """Squares that overlap by half, their sides shares of the picture's long one; 1 is all of it."""
    for share in shares:
        side = round(share * max(height, width))
        for rows in _spans(height, side):
            for columns in _spans(width, side):
                yield rows, columns


def _spans(length: int, side: int) -> list[slice]:
    if side >= length:
        return [slice(0, length)]
    count = 1 + -(-2 * (length - side) // side)
    starts = np.linspace(0, length - side, count).round().astype(int).tolist()
    return [slice(start, start + side) for start in starts]


def model_bytes() -> bytes:
    """The face model that mofa comes with, checked. Raises WeightsError: damaged or gone."""
    try:
        data = MODEL.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{MODEL} cannot be read ({error.strerror}): install mofa again.", key="install.damaged"
        ) from error
    if hashlib.sha256(data).hexdigest() != MODEL_SHA256:
        raise WeightsError(
            f"{MODEL} is not the face model that mofa comes with: install mofa again.", key="install.damaged"
        )
    return data


@contextmanager
def _muted() -> Iterator[None]:
    """Keeps the native library's start-up talk off the terminal; errors still come as exceptions."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # no terminal at all
        yield
        return
    with tempfile.TemporaryFile() as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
