"""What comes in from a browser: bounded in bytes, pixels and seconds, and named by us."""

import secrets
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mofa.apps.studio.quota import no_room
from mofa.apps.studio.visitors import Visitor
from mofa.errors import InputError
from mofa.media.audio import LONGEST_SOUND, read_audio
from mofa.media.decode import video_frames, video_seconds
from mofa.media.image import SMALLEST_SIDE, check_picture

MOST_PIXELS = 50_000_000
"""Of a photo: 50 megapixels, as phones make them; decoded to float32 it takes 600 MB."""


@dataclass(frozen=True)
class Kind:
    """What may be uploaded as one kind of file."""

    title: str
    suffixes: tuple[str, ...]
    most_bytes: int
    most_seconds: float | None = None


_MB = 1 << 20
# Sizes are chosen so that what a phone or a camera makes fits: a photo, a minute of video or sound; a scene
# may hold one of each. A minute is the longest clip here (`scenes.MOST_FRAMES`).
KINDS = {
    "photo": Kind(
        "photo", (".jpg", ".jpeg", ".png", ".webp", ".avif", ".bmp", ".gif", ".tif", ".tiff"), 40 * _MB
    ),
    "mask": Kind("mask", (".png",), 20 * _MB),
    "video": Kind("video", (".mp4", ".mov", ".webm", ".mkv", ".avi", ".m4v"), 200 * _MB, 60.0),
    "speech": Kind(
        "sound", (".wav", ".mp3", ".m4a", ".aac", ".ogg", ".oga", ".opus", ".flac", ".weba"), 50 * _MB, 60.0
    ),
    "tracks": Kind(
        "track file",
        (".npy", ".npz", ".pt", ".pth", ".svg", ".svgz", ".csv", ".tsv", ".txt", ".json"),
        20 * _MB,
    ),
    "landmarks": Kind("landmark file", (".npz", ".npy", ".json", ".csv"), 20 * _MB),
    "scene": Kind("scene", (".zip", ".yaml", ".yml", ".json"), 300 * _MB),
}


def kind_of(name: str) -> str:
    """The kind that a file named so is. Raises InputError when no scene can use it."""
    suffix = Path(name).suffix.lower()
    for kind, rule in KINDS.items():
        if suffix in rule.suffixes:
            return kind
    raise InputError(
        f'"{name[:80]}" is no file that a scene can use: leave it out.', key="file.kind", name=name[:80]
    )


def new_name(kind: str, suffix: str) -> str:
    """A name that no file of the visitor has yet."""
    return f"{kind}-{secrets.token_hex(6)}{suffix}"


async def receive(
    content: AsyncIterator[bytes], kind: str, suffix: str, visitor: Visitor, told: int | None = None
) -> Path:
    """Writes an upload into the visitor's folder as it arrives; `check_upload` looks inside afterwards.

    Where the sender has `told` how many bytes it has, no more room than that is set aside meanwhile.
    Raises InputError: the kind or suffix is unknown, or the file too large; nothing stays behind then.
    """
    rule = KINDS.get(kind)
    if rule is None or suffix not in rule.suffixes:
        known = ", ".join(rule.suffixes) if rule else ", ".join(KINDS)
        raise InputError(
            f'a {rule.title if rule else "file"} cannot be "{suffix[:20]}": use {known}.',
            key="file.suffix",
            suffix=suffix[:20],
            known=known,
        )
    most = rule.most_bytes if told is None else min(told, rule.most_bytes)
    with visitor.keeping(max(most, 1)) as room:
        path = visitor.room() / new_name(kind, suffix)
        size = 0
        try:
            with path.open("xb") as file:
                async for piece in content:
                    size += len(piece)
                    if size > room:
                        raise no_room() if room < most else _too_large(rule)
                    file.write(piece)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path


def _too_large(rule: Kind) -> InputError:
    most = rule.most_bytes >> 20
    return InputError(
        f"this {rule.title} is larger than {most} MB: choose a smaller one.", key="file.large", most=most
    )


def check_upload(path: Path, kind: str) -> None:
    """Looks inside. Raises InputError: not of its kind, damaged, too many pixels, too long."""
    rule = KINDS[kind]
    try:
        if kind == "photo":
            _check_photo(path)
        elif kind == "mask":
            check_picture(path, MOST_PIXELS)
        elif kind == "speech":
            read_audio(path, rule.most_seconds or LONGEST_SOUND)
        elif kind == "video":
            _check_video(path, rule)
    except InputError as error:
        # People know their file by its own name, not by ours.
        raise InputError(
            str(error).replace(str(path), f"(this {rule.title})"), key=error.key, **error.values
        ) from None


def _check_photo(path: Path) -> None:
    width, height = check_picture(path, MOST_PIXELS)
    if min(width, height) < SMALLEST_SIDE:
        raise InputError(
            f"this photo has only {width} x {height} pixels: choose a larger one.",
            key="photo.small",
            width=width,
            height=height,
        )


def _check_video(path: Path, rule: Kind) -> None:
    if rule.most_seconds is not None and video_seconds(path) > rule.most_seconds:
        raise InputError(
            f"this {rule.title} is longer than {rule.most_seconds:g} seconds: cut it first.",
            key="file.long",
            seconds=f"{rule.most_seconds:g}",
        )
    with closing(video_frames(path, long_side=64)) as frames:
        next(frames)
