"""Still pictures: decoded upright and in sRGB, cut to the working window, written as PNG."""

import importlib
import io
import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path, PureWindowsPath
from typing import BinaryIO

import av
import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import ExifTags, Image, ImageCms
from torch import Tensor

from mofa.errors import InputError
from mofa.types import CropBox, SourceImage

LARGEST_PICTURE = 200_000_000
"""Pixels. Decoded to float32, such a picture takes 2.4 GB."""

SMALLEST_SIDE = 16
"""Pixels of a photo that can be animated."""

COLOURED = 0.1
"""Between a pixel's largest and smallest channel; and the share of pixels that makes a picture coloured."""
TONES, FILLED, LOOKED_AT = 16, 0.9, 1_000_000
"""Of so many tones a channel the `MOST_LABELS` commonest colours make so much of a picture of filled areas;
the last is how many pixels are looked at."""
DARK, MOST_LABELS = 0.5, 32
"""Luminance below which everything lies, and how many tones there are at most, in a picture of labels."""

# Formats that decode a picture by themselves: no EPS (runs Ghostscript), no stubs, none without a signature.
_FORMATS = (
    "HEIF",  # where pillow-heif is installed
    "AVIF",
    "BMP",
    "DIB",
    "GIF",
    "ICO",
    "JPEG",
    "JPEG2000",
    "MPO",
    "PNG",
    "PPM",
    "QOI",
    "TIFF",
    "WEBP",
)
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)  # those of EXIF's orientations that swap width and height
_pillow_limit = threading.Lock()

SELF_CONTAINED = {
    "protocol_whitelist": "none",
    "format_whitelist": "mov,matroska,avi,mpeg,mpegts,flv,asf,ogg,m4v,h264,hevc,mxf,nut,ivf,mjpeg,dv,rm,"
    "yuv4mpegpipe,mpegvideo,gif,obu,wtv",
}
"""For av.open: containers of moving pictures alone; a playlist names addresses nobody asked to fetch."""


def read_picture(path: Path) -> Float[Tensor, "3 H W"]:
    """The picture at `path`: RGB 0..1, upright (EXIF), sRGB (embedded colour profile applied).

    Transparent parts are laid on white. Animated pictures give their first frame. 16-bit channels are
    scaled to the same 0..1; 8-bit pictures hold exactly k / 255.

    Raises InputError: missing, a folder, empty, a video, unreadable or cut short, or over
    `LARGEST_PICTURE` pixels (decided from the header, before decoding).
    """
    pixels = _read(path)
    return pixels if pixels.is_floating_point() else pixels.float().div_(255)


def read_bytes(path: Path) -> UInt8[Tensor, "3 H W"]:
    """The picture at `path` as `read_picture` has it, rounded to bytes: a quarter of the memory."""
    pixels = _read(path)
    return to_bytes(pixels) if pixels.is_floating_point() else pixels


def _read(path: Path) -> UInt8[Tensor, "3 H W"] | Float[Tensor, "3 H W"]:
    """Bytes, or floats where the file has more bits."""
    with _opened(path) as picture, _damage_named(path):
        upright = _decoded(picture)
        if _is_deep_grey(upright):
            return torch.from_numpy(_deep_grey(upright)).expand(3, -1, -1).clone()
        pixels = np.array(_on_white(_in_srgb(upright)))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def read_mask(path: Path) -> Float[Tensor, "1 H W"]:
    """The mask painted in the picture at `path`, 0..1, upright.

    It is the alpha channel where the picture has one that varies (a brush painted on a transparent
    layer, its fullest strokes being 1 however transparent they are), else the luminance (white = inside).
    A dark picture of a few flat tones holds labels, as segmentation data sets write them: 0 or 1, or the
    dark colours of a palette. All but black is inside then.

    Raises InputError as `read_picture` does, and for a photo in colours, of which nobody knows what is meant.
    """
    grey = _brushed(path)
    if grey is None:
        picture = _read(path)
        if not picture.is_floating_point() and _is_photo(picture):
            raise InputError(
                f"{path} is a photo in colours and no mask: paint what may move in white on black, or on a "
                "transparent layer.",
                key="mask.photo",
            )
        grey = _luminance(picture)
    labels = 0 < grey.max() < DARK and len(grey.unique()) <= MOST_LABELS
    return (grey > 0).float() if labels else grey


def read_grey(path: Path) -> Float[Tensor, "1 H W"]:
    """How bright each pixel of the picture at `path` is, 0..1, or how opaque, as for `read_mask`."""
    brushed = _brushed(path)
    return _luminance(_read(path)) if brushed is None else brushed


def _brushed(path: Path) -> Float[Tensor, "1 H W"] | None:
    """How opaque each pixel is against the most opaque one; None where all are alike."""
    with _opened(path) as picture, _damage_named(path):
        alpha = _alpha(_decoded(picture))
    return None if alpha is None or alpha.min() == alpha.max() else alpha / alpha.max()


def _luminance(picture: UInt8[Tensor, "3 H W"] | Float[Tensor, "3 H W"]) -> Float[Tensor, "1 H W"]:
    """0..1. Of floats, which come from grey pictures, one channel; of bytes from blue on, which keeps grey,
    and in place: a mask of 50 megapixels takes 750 MB at its height."""
    if picture.is_floating_point():
        return picture[:1].clone()
    blue = picture[2].float()
    grey = blue.clone()
    grey.add_(picture[0].float().sub_(blue), alpha=0.2126)
    grey.add_(picture[1].float().sub_(blue), alpha=0.7152)
    return grey.div_(255).clamp_(0, 1).unsqueeze(0)


def _is_photo(picture: UInt8[Tensor, "3 H W"]) -> bool:
    """Whether a picture is coloured and holds many more tones than areas that somebody filled."""
    step = max(1, int((picture[0].numel() / LOOKED_AT) ** 0.5))
    pixels = picture[:, ::step, ::step].flatten(1).float() / 255
    if (pixels.amax(0) - pixels.amin(0) > COLOURED).float().mean() < COLOURED:
        return False
    red, green, blue = (pixels * (TONES - 1)).round().long()
    counts = torch.bincount((red * TONES + green) * TONES + blue).sort(descending=True).values
    return bool(counts[:MOST_LABELS].sum() < FILLED * counts.sum())


def read_alpha(path: Path) -> Float[Tensor, "1 H W"] | None:
    """How opaque each pixel of the picture at `path` is, 0..1, upright; None where all of it is opaque.

    Raises InputError as `read_picture` does.
    """
    with _opened(path) as picture, _damage_named(path):
        if not picture.has_transparency_data:  # known from the header
            return None
        alpha = _alpha(_decoded(picture))
    return None if alpha is None or alpha.min() == 1 else alpha


def _alpha(upright: Image.Image) -> Float[Tensor, "1 H W"] | None:
    if not upright.has_transparency_data or _is_deep_grey(upright):
        return None
    return torch.from_numpy(np.array(upright.convert("RGBA").getchannel("A"))).unsqueeze(0).float() / 255


def check_picture(path: Path, most_pixels: int = LARGEST_PICTURE) -> tuple[int, int]:
    """(width, height) of a picture whose every pixel can be decoded; it is let go again.

    Raises InputError as `read_picture` does, and beyond `most_pixels`, decided before decoding.
    """
    width, height = picture_size(path)
    if width * height > most_pixels:
        raise InputError(
            f"the picture {path} has {width} x {height} pixels: make it smaller, at most "
            f"{most_pixels / 1e6:g} million.",
            key="photo.large",
            width=width,
            height=height,
            most=f"{most_pixels / 1e6:g}",
        )
    with _opened(path) as picture, _damage_named(path):
        picture.load()
    return width, height


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) of the upright picture, from its header alone.

    Raises InputError as `read_picture` does, except for damage that only decoding shows.
    """
    with _opened(path) as picture:
        width, height = picture.size
        # Pillow reports TIFF sizes upright already.
        sideways = picture.format != "TIFF" and _orientation(picture) in _SIDEWAYS
    return (height, width) if sideways else (width, height)


def crop_and_resize(values: Float[Tensor, "C H W"], crop: CropBox) -> Float[Tensor, "C h w"]:
    """The window `crop` of `values` at working size, filtered against aliasing (Lanczos, a = 3).

    Working pixel (x, y) shows the square of the original that `crop` maps it to. Beyond the border the
    border pixels are repeated. Values stay in 0..1; a window of equal size on whole pixels is a copy.
    """
    left, top = crop.left, crop.top
    right, bottom = left + crop.width, top + crop.height
    _, height, width = values.shape
    before_x, before_y = _beyond(left), _beyond(top)
    after_x, after_y = _beyond(width - right), _beyond(height - bottom)
    pad = (before_x, after_x, before_y, after_y)
    padded = torch.nn.functional.pad(values[None], pad, mode="replicate")[0] if any(pad) else values
    left, right, top, bottom = left + before_x, right + before_x, top + before_y, bottom + before_y
    size = (crop.working_width, crop.working_height)
    whole = all(edge == int(edge) for edge in (left, right, top, bottom))
    if whole and size == (int(right - left), int(bottom - top)):
        return padded[:, int(top) : int(bottom), int(left) : int(right)].clone()
    planes = [
        np.asarray(
            Image.fromarray(plane).resize(size, Image.Resampling.LANCZOS, box=(left, top, right, bottom))
        )
        for plane in padded.float().cpu().numpy()
    ]
    return torch.from_numpy(np.stack(planes)).to(values).clamp(0, 1)


def load_source(
    picture: Float[Tensor, "3 H W"], crop: CropBox, alpha: Float[Tensor, "1 H W"] | None = None
) -> SourceImage:
    """The picture to animate, and its alpha, cut to `crop` by `crop_and_resize`."""
    own_alpha = None if alpha is None else crop_and_resize(alpha, crop)
    return SourceImage(crop_and_resize(picture, crop), crop, own_alpha)


def to_bytes(picture: Float[Tensor, "*T C H W"]) -> UInt8[Tensor, "*T C H W"]:
    """0..1 to the nearest of 0..255; values outside are clamped."""
    return picture.clamp(0, 1).mul_(255).round_().to(torch.uint8)


def from_pillow(picture: Image.Image) -> Float[Tensor, "3 H W"]:
    """A Pillow picture as `read_picture` would give it."""
    pixels = np.array(_on_white(_in_srgb(_decoded(picture))))
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


def to_pillow(picture: UInt8[Tensor, "3 H W"]) -> Image.Image:
    """A picture of bytes as Pillow has it."""
    return Image.fromarray(picture.permute(1, 2, 0).cpu().numpy())


def save_png(path: Path, picture: UInt8[Tensor, "C H W"]) -> None:
    """Writes a PNG, RGB or with alpha, at `path` itself; `media.files.replacing` gives the path where that
    matters."""
    pixels = picture.permute(1, 2, 0).contiguous().cpu().numpy()
    Image.fromarray(pixels).save(path, format="PNG", compress_level=3)


def save_jpeg(path: Path, picture: UInt8[Tensor, "3 H W"], quality: int = 88) -> None:
    """Writes a small copy to look at; `save_png` keeps every value."""
    path.write_bytes(jpeg(picture, quality))


def jpeg(picture: UInt8[Tensor, "3 H W"], quality: int = 88) -> bytes:
    """A small copy to look at, as the bytes of its file."""
    coded = io.BytesIO()
    pixels = picture.permute(1, 2, 0).contiguous().cpu().numpy()
    Image.fromarray(pixels).save(coded, format="JPEG", quality=quality)
    return coded.getvalue()


def _beyond(distance: float) -> int:
    """Whole pixels that a window reaches beyond a border at `distance` inside it."""
    return max(0, int(np.ceil(-distance)))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The picture with its header read and its size accepted; every complaint names `path`."""
    with open_file(path, "picture") as file:
        try:
            picture = open_quietly(file)
        except Image.DecompressionBombError:
            raise InputError(_too_large(path), key="file.pixels") from None
        except Exception:  # foreign bytes: Pillow's parsers raise whatever they stumble over
            raise InputError(_unreadable(path), key="photo.unreadable") from None
        with picture:
            if picture.width * picture.height > LARGEST_PICTURE:
                raise InputError(_too_large(path), key="file.pixels")
            if _is_raw(picture):
                raise InputError(_a_kind_that("raw photo", path), key="photo.raw")
            yield picture


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Foreign bytes once more: whatever decoding stumbles over becomes one sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except MemoryError:
        raise
    except Exception as error:
        raise InputError(
            f"The picture {path} is damaged or cut short; save or download it again.", key="file.damaged"
        ) from error


@contextmanager
def open_file(path: Path, kind: str) -> Iterator[BinaryIO]:
    """Opens foreign data. Raises InputError naming `kind`: missing, a folder, empty, no permission."""
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder; give the path of one {kind}.", key="file.damaged")
        file = path.open("rb")
    except FileNotFoundError:
        raise InputError(_absent(path, kind), key="file.gone") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"The {kind} {path} cannot be opened ({reason}); check the path.", key="file.damaged"
        ) from None
    with file:
        if path.is_file() and path.stat().st_size == 0:
            raise InputError(
                f"The {kind} {path} is empty (0 bytes); save or download it again.", key="file.empty"
            )
        yield file


def _absent(path: Path, kind: str) -> str:
    if re.match(r"[a-z]{2,10}:/", str(path), re.IGNORECASE):
        return f"{path} is an address, and nothing is fetched: download the {kind} and give its path."
    if str(path) == "-":
        return f"Standard input is not read: save the {kind} in a file and give its path."
    if os.sep == "/" and PureWindowsPath(path).drive:
        return f"{path} is a path of Windows, and there are no drives here: give the {kind}'s path here."
    return f"There is no {kind} at {path}; check the path."


@cache
def _know_heic() -> None:
    """Lets Pillow read what phones take, where somebody has installed the package for it."""
    with suppress(ImportError):
        importlib.import_module("pillow_heif").register_heif_opener()


def open_quietly(file: BinaryIO | io.BytesIO) -> Image.Image:
    """Pillow's view of an encoded picture, with our size limit in place of Pillow's own.

    Raises whatever Pillow raises on bytes it does not know.
    """
    _know_heic()
    Image.init()
    known = [name for name in _FORMATS if name in Image.OPEN]
    with _pillow_limit, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pillows_own, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, LARGEST_PICTURE
        try:
            return Image.open(file, formats=known)
        finally:
            Image.MAX_IMAGE_PIXELS = pillows_own


def _decoded(picture: Image.Image) -> Image.Image:
    """All pixels, turned upright. Pillow turns TIFF by itself and takes its orientation tag away."""
    picture.load()
    turn = _UPRIGHT.get(_orientation(picture))
    if turn is None:
        return picture
    upright = picture.transpose(turn)
    upright.info = picture.info
    return upright


def _orientation(picture: Image.Image) -> int:
    """EXIF orientation 1..8; pictures with none, or with damaged EXIF, count as upright."""
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # foreign bytes: EXIF is a small TIFF file of its own
        return 1


def _is_deep_grey(picture: Image.Image) -> bool:
    return picture.mode in ("I", "F") or picture.mode.startswith("I;16")


def _deep_grey(picture: Image.Image) -> Float[np.ndarray, "H W"]:
    """Grey of more than 8 bits as float32 0..1.

    16-bit files span 0..65535 whatever mode they are opened in. Wider integers and floats have no
    stated white: values up to 1 are taken as they are, anything else is scaled to its own maximum.
    """
    values = np.nan_to_num(np.asarray(picture).astype(np.float32), posinf=1.0, neginf=0.0)
    highest = float(values.max())
    if picture.mode != "F" and highest <= 65535:
        return np.clip(values / 65535, 0, 1)
    return np.clip(values / max(highest, 1.0), 0, 1)


def _in_srgb(picture: Image.Image) -> Image.Image:
    """RGB, or RGBA where there is transparency, with the embedded profile applied."""
    profile = picture.info.get("icc_profile")
    if picture.has_transparency_data:
        alpha = picture.convert("RGBA").getchannel("A")
        opaque = _opaque(picture)
    else:
        alpha, opaque = None, picture
    if opaque.mode not in ("RGB", "L", "CMYK", "LAB"):
        opaque = opaque.convert("RGB")
    colours = _apply_profile(opaque, profile) if profile else opaque.convert("RGB")
    if alpha is not None:
        colours.putalpha(alpha)
    return colours


def _opaque(picture: Image.Image) -> Image.Image:
    match picture.mode:
        case "LA" | "La" | "L":
            return picture.convert("LA").convert("L")
        case _:
            return picture.convert("RGBA").convert("RGB")


def _apply_profile(picture: Image.Image, profile: bytes) -> Image.Image:
    """Into sRGB. A profile that does not fit its picture is ignored, as viewers do."""
    try:
        embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if picture.mode == "RGB" and ImageCms.getProfileDescription(embedded).startswith("sRGB"):
            return picture  # the identity, kept free of rounding
        converted = ImageCms.profileToProfile(
            picture, embedded, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        converted = None
    return converted or picture.convert("RGB")


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGBA":
        return picture
    ground = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(ground, picture).convert("RGB")


def _too_large(path: Path) -> str:
    return (
        f"The picture {path} has more than {LARGEST_PICTURE // 1_000_000} megapixels; "
        "make it smaller in a picture editor first."
    )


def _unreadable(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(16)
    if start[4:8] == b"ftyp" and start[8:12] in HEIC:
        return (
            f"The picture {path} is HEIC, which needs a package more (pip install pillow-heif); or save it "
            "as JPEG or PNG."
        )
    kind = next((kind for mark, kind in OTHER_KINDS if start.startswith(mark)), None)
    if kind is not None or start[4:12] == b"ftypcrx ":
        return _a_kind_that(kind or "raw photo", path)
    if _is_video(path):
        return f"{path} is a video; give a still picture, or name the video with --reference for its motion."
    return (
        f"{path} cannot be read as JPEG, PNG, WebP, AVIF, TIFF, BMP or GIF; save the picture as one of these."
    )


HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
OTHER_KINDS = (
    (b"%PDF", "PDF"),
    (b"8BPS", "Photoshop file"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"gimp xcf", "GIMP file"),
    (b"<svg", "drawing (SVG)"),
    (b"FUJIFILMCCD-RAW", "raw photo"),
    (b"IIU\0", "raw photo"),
    (b"IIRO", "raw photo"),
    (b"MMOR", "raw photo"),
)
"""What files begin with that people take for pictures, and what these are."""
# TIFF's tags DNGVersion and NewSubfileType, and that one's value for a reduced picture (DNG 1.4, TIFF 6).
_DNG_VERSION, _SUBFILE, _PREVIEW = 50706, 254, 1


def _is_raw(picture: Image.Image) -> bool:
    """Whether a TIFF is a camera's raw file, of which Pillow reads but the small preview within."""
    tags = getattr(picture, "tag_v2", None)
    if picture.format != "TIFF" or tags is None:
        return False
    return _DNG_VERSION in tags or tags.get(_SUBFILE) == _PREVIEW


def _a_kind_that(kind: str, path: Path) -> str:
    return f"{path} is a {kind}, which is not read as a photo; save the picture as JPEG or PNG."


def _is_video(path: Path) -> bool:
    try:
        with path.open("rb") as file, av.open(file, options=SELF_CONTAINED) as container:
            return len(container.streams.video) > 0
    except (av.FFmpegError, ValueError, OSError):
        return False
