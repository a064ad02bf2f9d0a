"""The forms in which moving pictures are written: what a clip's name says about them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mofa.errors import InputError

STILLS = (".png", ".jpg", ".jpeg")
"""Suffixes of frames in files of their own."""
_NUMBER = re.compile(r"%(0\d)?d")
_LEFTOVER = re.compile(r"[-_. ]*%(0\d)?d")


@dataclass(frozen=True)
class Coding:
    """How a container's pictures are coded: libav's names of the codec and of its pixels.

    `at_most` is the largest constant rate factor (CRF) that it takes, None where it knows none.
    """

    codec: str
    pixels: str
    options: Mapping[str, str] = field(default_factory=dict)
    at_most: int | None = None


@dataclass(frozen=True)
class Form:
    """A container: libav's name of it, how its pictures are coded, also with alpha, and its sound."""

    container: str
    opaque: Coding
    cut_out: Coding | None = None
    sound: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)


# x264 repeats itself bit for bit only with the same number of threads, and only without the vector code for
# macroblock trees: that reads memory nobody wrote (core 165, small pictures).
_H264 = Coding(
    "libx264",
    "yuv420p",
    {"crf": "16", "preset": "medium", "threads": "4", "x264-params": "cpu-independent=1"},
    at_most=51,
)
_VP9 = {"crf": "20", "deadline": "good", "cpu-used": "4", "b": "0", "threads": "4"}
_PRORES = Coding("prores_ks", "yuva444p10le", {"profile": "4444", "vendor": "apl0", "threads": "4"})
_FAST_START = {"movflags": "+faststart"}
FORMS: Mapping[str, Form] = {
    ".mp4": Form("mp4", _H264, sound="aac", options=_FAST_START),
    ".mov": Form("mov", _H264, _PRORES, sound="aac", options=_FAST_START),
    ".mkv": Form("matroska", _H264, sound="aac"),
    ".webm": Form(
        "webm",
        Coding("libvpx-vp9", "yuv420p", _VP9, at_most=63),
        Coding("libvpx-vp9", "yuva420p", {**_VP9, "auto-alt-ref": "0"}, at_most=63),
        sound="libopus",
    ),
    ".avi": Form("avi", Coding("mpeg4", "yuv420p", {"qmin": "2", "qmax": "2"}), sound="libmp3lame"),
    ".apng": Form("apng", Coding("apng", "rgb24"), Coding("apng", "rgba"), options={"plays": "0"}),
}
"""Those that libav writes, by suffix."""
LOOPING = (".gif", ".webp")
"""The other two forms of one file."""


def check_clip_name(path: Path, crf: int | None = None, metadata: bool = False) -> None:
    """Raises InputError when the name of `path` says no form that is written, or its form has no constant
    rate factor, or cannot hold a scene in its `metadata`."""
    suffix = path.suffix.lower()
    if suffix in STILLS and not is_sequence(path):
        raise InputError(
            f"{path} is the name of one picture: write %04d where its frames' numbers shall be, as in "
            f"{path.stem}-%04d{path.suffix}, or use .apng."
        )
    if suffix not in (*FORMS, *LOOPING, *STILLS, ""):
        known = ", ".join((*FORMS, *LOOPING))
        raise InputError(
            f"{path} ends in {path.suffix}; use {known}, a pattern such as frame-%04d.png, or no suffix for "
            "a folder of PNG frames."
        )
    form = FORMS.get(suffix)
    if crf is not None:
        _check_crf(path, form, crf)
    if metadata and (form is None or form.sound is None):
        holders = ", ".join(suffix for suffix, form in FORMS.items() if form.sound)
        raise InputError(f"{path} cannot hold the scene in its metadata; use {holders}, or leave that out.")


def _check_crf(path: Path, form: Form | None, crf: int) -> None:
    at_most = None if form is None else form.opaque.at_most
    if at_most is None:
        takers = ", ".join(suffix for suffix, form in FORMS.items() if form.opaque.at_most is not None)
        raise InputError(f"{path} is not written at a CRF; use {takers}, or leave the CRF out.")
    if crf > at_most:
        raise InputError(
            f"a CRF of {crf} is too much for {path}: {at_most} is the most, and the smallest file."
        )


def carries_alpha(path: Path) -> bool:
    """Whether the form that the name of `path` says shows what is behind its frames."""
    form = FORMS.get(path.suffix.lower())
    return path.suffix.lower() in (".png", ".webp", "") or (form is not None and form.cut_out is not None)


def is_sequence(path: Path) -> bool:
    """Whether `path` is a pattern of file names, `frame-%04d.png`, for frames 0, 1, 2, ..."""
    return path.suffix.lower() in STILLS and _NUMBER.search(path.name) is not None


def of_sequence(path: Path, index: int) -> Path:
    """The file of a frame."""
    return path.with_name(_NUMBER.sub(lambda number: number.group() % index, path.name, count=1))


def numbered(path: Path, name: str) -> bool:
    """Whether `name` is one that the pattern `path` gives to a frame."""
    number = _NUMBER.search(path.name)
    if number is None:
        return False
    before, after = path.name[: number.start()], path.name[number.end() :]
    return re.fullmatch(rf"{re.escape(before)}\d+{re.escape(after)}", name) is not None


def stem_of(path: Path) -> str:
    """A clip's name without its suffix, and without the number of its frames: what lies beside it has it."""
    return (_LEFTOVER.sub("", path.stem, count=1) or "frames") if is_sequence(path) else path.stem
