import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageCms, ImageDraw

from mofa.errors import InputError
from mofa.media.image import (
    crop_and_resize,
    load_source,
    picture_size,
    read_bytes,
    read_grey,
    read_mask,
    read_picture,
    save_png,
    to_bytes,
)
from mofa.types import CropBox

COLOURS = np.zeros((16, 24, 3), np.uint8)
COLOURS[:8, :12] = (255, 0, 0)
COLOURS[:8, 12:] = (0, 255, 0)
COLOURS[8:, :12] = (0, 0, 255)
COLOURS[8:, 12:] = (90, 160, 30)


def levels(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    return to_bytes(read_picture(path)).permute(1, 2, 0).numpy()


def png_16_bit(pixels: np.ndarray) -> bytes:
    """A PNG with two bytes per channel; Pillow itself writes none in colour."""
    height, width = pixels.shape[:2]
    kind = {2: 0, 3: {2: 4, 3: 2, 4: 6}.get(pixels.shape[-1], 0)}[pixels.ndim]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_pictures_stand_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    # How a camera stores the upright picture under each EXIF orientation (row 0 and column 0 of the
    # stored picture are the named sides of the scene).
    stored = {
        1: COLOURS, 2: COLOURS[:, ::-1], 3: COLOURS[::-1, ::-1], 4: COLOURS[::-1],
        5: COLOURS.transpose(1, 0, 2), 6: COLOURS.transpose(1, 0, 2)[::-1],
        7: COLOURS.transpose(1, 0, 2)[::-1, ::-1], 8: COLOURS.transpose(1, 0, 2)[:, ::-1],
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / f"turned.{suffix}"
    lossless = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(suffix, {})
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, **lossless)
    assert np.abs(levels(path).astype(int) - COLOURS).max() <= 4
    assert picture_size(path) == (24, 16)


def test_eight_bits_come_out_as_they_are(tmp_path: Path) -> None:
    noise = torch.randint(0, 256, (3, 9, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    path = tmp_path / "noise.png"
    save_png(path, noise)
    picture = read_picture(path)
    assert picture.dtype == torch.float32
    assert torch.equal(to_bytes(picture), noise)
    assert torch.equal(picture, noise.float() / 255)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, channels: int) -> None:
    ramp = np.linspace(0, 65535, 256).reshape(16, 16)
    pixels = np.stack([ramp] * channels, axis=-1).round().astype(np.uint16)
    if channels in (2, 4):
        pixels[..., -1] = 65535
    path = tmp_path / "deep.png"
    path.write_bytes(png_16_bit(pixels if channels > 1 else pixels[..., 0]))
    expected = torch.from_numpy(ramp / 65535).float().expand(3, -1, -1)
    assert (read_picture(path) - expected).abs().max() < 1 / 255
    assert (read_mask(path) - expected[:1]).abs().max() < 1 / 255


def test_grey_palette_and_one_bit(tmp_path: Path) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(levels(tmp_path / "grey.png"), np.stack([grey] * 3, axis=-1))
    Image.fromarray(COLOURS).quantize(16).save(tmp_path / "palette.gif")
    assert np.abs(levels(tmp_path / "palette.gif").astype(int) - COLOURS).max() <= 1
    Image.fromarray(grey > 99).save(tmp_path / "bits.png")
    assert np.array_equal(levels(tmp_path / "bits.png")[..., 0], 255 * (grey > 99))
    assert np.array_equal(read_mask(tmp_path / "bits.png")[0].numpy() > 0.5, grey > 99)


def test_print_colours(tmp_path: Path) -> None:
    # A CMYK JPEG as print software writes it (Adobe marker: stored inverted).
    Image.fromarray(COLOURS).convert("CMYK").save(tmp_path / "print.jpg", quality=100, subsampling=0)
    assert np.abs(levels(tmp_path / "print.jpg").astype(int) - COLOURS).max() <= 6


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    alpha = np.full((16, 24), 255, np.uint8)
    alpha[:, :6], alpha[:, 6:12] = 0, 128
    Image.fromarray(np.dstack((COLOURS, alpha))).save(tmp_path / "clear.png")
    share = (alpha / 255)[..., None]
    expected = COLOURS * share + 255 * (1 - share)
    assert np.abs(levels(tmp_path / "clear.png") - expected).max() <= 1
    grey = Image.fromarray(np.full((16, 24), 40, np.uint8))
    grey.putalpha(Image.fromarray(alpha))
    grey.save(tmp_path / "grey.png")
    assert (levels(tmp_path / "grey.png")[:, :6] == 255).all()
    assert (levels(tmp_path / "grey.png")[:, 12:] == 40).all()
    palette = Image.fromarray(COLOURS).quantize(4)
    clear = palette.getpixel((0, 0))
    palette.save(tmp_path / "palette.png", transparency=clear)
    assert (levels(tmp_path / "palette.png")[0, 0] == 255).all()
    assert np.abs(levels(tmp_path / "palette.png")[15, 23].astype(int) - COLOURS[15, 23]).max() <= 1


def test_colour_profiles_are_applied(tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    pixels = Image.fromarray(COLOURS)
    pixels.save(tmp_path / "srgb.png", icc_profile=lab.tobytes())
    assert np.abs(levels(tmp_path / "srgb.png").astype(int) - COLOURS).max() <= 1
    swapped = swapped_primaries(lab.tobytes())
    pixels.save(tmp_path / "swapped.png", icc_profile=swapped)
    assert np.abs(levels(tmp_path / "swapped.png").astype(int) - COLOURS[..., [2, 1, 0]]).max() <= 3
    pixels.save(tmp_path / "broken.png", icc_profile=b"no profile at all")
    assert np.array_equal(levels(tmp_path / "broken.png"), COLOURS)


def swapped_primaries(profile: bytes) -> bytes:
    """The sRGB profile with red and blue exchanged, under a name of its own."""
    return (
        profile.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")
        .replace("sRGB".encode("utf-16-be"), "xBGR".encode("utf-16-be"))
    )  # fmt: skip


def test_animated_pictures_give_their_first_frame(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (8, 6), "red"), Image.new("RGB", (8, 6), "blue")
    for suffix in ("gif", "webp"):
        path = tmp_path / f"moving.{suffix}"
        first.save(path, save_all=True, append_images=[second], lossless=True)
        assert (levels(path) == (255, 0, 0)).all()


def test_masks_are_alpha_where_it_says_something_else_luminance(tmp_path: Path) -> None:
    inside = np.zeros((16, 24), np.uint8)
    inside[4:9, 5:20] = 255
    black_brush = np.dstack((np.zeros_like(COLOURS), inside))
    Image.fromarray(black_brush).save(tmp_path / "alpha.png")
    white_on_black = np.dstack([inside] * 3 + [np.full_like(inside, 255)])
    Image.fromarray(white_on_black).save(tmp_path / "luminance.png")
    for name in ("alpha.png", "luminance.png"):
        mask = read_mask(tmp_path / name)
        assert mask.shape == (1, 16, 24)
        assert np.allclose(mask[0].numpy(), inside / 255, atol=1e-6)


def test_masks_of_labels_are_all_but_black(tmp_path: Path) -> None:
    labels = np.zeros((16, 24), np.uint8)
    labels[4:9, 5:12], labels[4:9, 12:20] = 1, 2
    Image.fromarray(labels).save(tmp_path / "labels.png")
    palette = Image.fromarray(labels, "P")
    palette.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0] + [0] * 759)  # as DAVIS colours its objects
    palette.save(tmp_path / "davis.png")
    for name in ("labels.png", "davis.png"):
        assert np.array_equal(read_mask(tmp_path / name)[0].numpy(), labels > 0)
    half = np.where(labels > 0, 160, 0).astype(np.uint8)
    Image.fromarray(half).save(tmp_path / "half.png")
    assert read_mask(tmp_path / "half.png").max() == pytest.approx(160 / 255, abs=0.01)
    assert read_grey(tmp_path / "labels.png").max() == pytest.approx(2 / 255, abs=1e-4)


def whole(height: int, width: int) -> CropBox:
    return CropBox(0.0, 0.0, float(width), float(height), width, height)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "I;16"])
def test_a_picture_in_bytes_is_the_picture(tmp_path: Path, mode: str) -> None:
    y, x = np.mgrid[0:24, 0:32]
    if mode == "I;16":
        Image.fromarray((x * 2000 + y).astype(np.uint16)).save(tmp_path / "a.png")
    else:
        colours = Image.fromarray(np.stack([x * 8, y * 10, x + y], -1).astype(np.uint8))
        colours.convert(mode).save(tmp_path / "a.png")
    assert torch.equal(read_bytes(tmp_path / "a.png"), to_bytes(read_picture(tmp_path / "a.png")))


def test_a_photo_is_no_mask(tmp_path: Path) -> None:
    y, x = np.mgrid[0:64, 0:96]
    photo = np.stack([60 + 1.5 * x, 40 + 2 * y, 200 - x + 20 * np.sin(x / 3)], -1).clip(0, 255)
    Image.fromarray(photo.astype(np.uint8)).save(tmp_path / "photo.jpg")
    with pytest.raises(InputError, match="no mask: paint what may move in white on black"):
        read_mask(tmp_path / "photo.jpg")
    clear = Image.fromarray(photo.astype(np.uint8)).convert("RGBA")
    clear.putalpha(Image.fromarray((x > 48).astype(np.uint8) * 255))
    clear.save(tmp_path / "cut_out.png")
    assert read_mask(tmp_path / "cut_out.png").mean() == pytest.approx(47 / 96)
    filled = Image.new("RGB", (96, 64), (20, 40, 200))
    ImageDraw.Draw(filled).ellipse([20, 10, 70, 50], fill=(250, 240, 0))
    soft = Image.fromarray((x * 2.5).astype(np.uint8))
    for name, mask in {"filled.jpg": filled, "filled.png": filled, "soft.png": soft}.items():
        mask.save(tmp_path / name)
        assert read_mask(tmp_path / name).shape == (1, 64, 96)


def test_an_equal_window_is_a_copy() -> None:
    picture = torch.rand(3, 12, 17)
    assert torch.equal(load_source(picture, whole(12, 17)).pixels, picture)
    part = CropBox(left=3.0, top=2.0, width=8.0, height=5.0, working_width=8, working_height=5)
    assert torch.equal(crop_and_resize(picture, part), picture[:, 2:7, 3:11])


def test_beyond_the_border_the_border_goes_on() -> None:
    picture = torch.rand(3, 4, 6)
    box = CropBox(left=-2.0, top=0.0, width=8.0, height=7.0, working_width=8, working_height=7)
    padded = crop_and_resize(picture, box)
    assert torch.equal(padded[:, :4, 2:], picture)
    assert torch.equal(padded[:, :4, :2], picture[:, :, :1].expand(-1, -1, 2))
    assert torch.equal(padded[:, 4:, 2:], picture[:, -1:].expand(-1, 3, -1))


def test_resampling_keeps_places_and_kills_aliasing() -> None:
    x = torch.arange(300.0) + 0.5
    ramp = (x / 300).expand(1, 200, 300)
    box = CropBox(left=30.25, top=20.0, width=240.0, height=160.0, working_width=60, working_height=40)
    expected = (30.25 + 4 * (torch.arange(60) + 0.5)) / 300
    assert (crop_and_resize(ramp, box)[0] - expected).abs().max() < 1e-3
    stripes = (torch.arange(300) % 2).float().expand(3, 200, 300)
    assert (crop_and_resize(stripes, CropBox(0.0, 0.0, 300.0, 200.0, 75, 50)) - 0.5).abs().max() < 0.05
    assert crop_and_resize(torch.eye(64)[None], CropBox(0.0, 0.0, 64.0, 64.0, 97, 101)).aminmax() == (0, 1)


def test_bytes_are_rounded_and_clamped() -> None:
    values = torch.tensor([-1.0, 0.0, 0.4 / 255, 0.6 / 255, 1.0, 7.0]).view(1, 1, 6).expand(3, 1, 6)
    assert to_bytes(values)[0, 0].tolist() == [0, 0, 0, 1, 255, 255]


def small_png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, "PNG")
    return file.getvalue()


def test_wrong_files_get_one_sentence(tmp_path: Path) -> None:
    photo = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(photo, "JPEG")
    huge = bytearray(small_png(1, 1))
    huge[16:24] = struct.pack(">II", 20_000, 10_001)
    huge[29:33] = struct.pack(">I", zlib.crc32(bytes(huge[12:29])))
    cases = {
        "empty.png": (b"", "empty"),
        "text.jpg": (b"this is no picture", "cannot be read"),
        "cut.jpg": (photo.getvalue()[:900], "damaged or cut short"),
        "cut.png": (small_png(50, 50)[:70], "damaged or cut short"),
        "huge.png": (bytes(huge), "200 megapixels"),
        "phone.heic": (b"\0\0\0\x18ftypheic" + b"\0" * 40, "HEIC"),
    }
    for name, (content, words) in cases.items():
        (tmp_path / name).write_bytes(content)
        for read in (read_picture, read_mask):
            with pytest.raises(InputError, match=words) as refusal:
                read(tmp_path / name)
            assert name in str(refusal.value)
            assert "\n" not in str(refusal.value)
    with pytest.raises(InputError, match="no picture at"):
        read_picture(tmp_path / "missing.png")
    with pytest.raises(InputError, match="is a folder"):
        read_picture(tmp_path)


def test_pictures_below_the_limit_are_not_bombs(tmp_path: Path) -> None:
    # 190 megapixels: more than Pillow alone would open. Only the header is read here.
    header = bytearray(small_png(1, 1))
    header[16:24] = struct.pack(">II", 19_000, 10_000)
    header[29:33] = struct.pack(">I", zlib.crc32(bytes(header[12:29])))
    (tmp_path / "large.png").write_bytes(bytes(header))
    before = Image.MAX_IMAGE_PIXELS
    assert picture_size(tmp_path / "large.png") == (19_000, 10_000)
    assert before == Image.MAX_IMAGE_PIXELS


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(COLOURS).save(file, kind, exif=exif, icc_profile=profile)
    return file.getvalue()


SEEDS = [encoded(kind) for kind in ("PNG", "JPEG", "TIFF", "WEBP", "AVIF")]


@pytest.mark.slow
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.sampled_from([b"", *SEEDS]),
    changes=st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=8)), max_size=6),
    length=st.integers(0, 5000),
)
def test_no_bytes_raise_anything_else(
    tmp_path: Path, seed: bytes, changes: list[tuple[int, bytes]], length: int
) -> None:
    content = bytearray(seed)
    for place, new in changes:
        content[place : place + len(new)] = new
    path = tmp_path / "foreign.png"
    path.write_bytes(content[:length])
    for read in (read_picture, read_mask):
        try:
            values = read(path)
        except InputError:
            continue
        assert torch.equal(values, values.clamp(0, 1))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"%PDF-1.7 rest of it", "is a PDF"),
        (b"8BPS\0\1 rest of it here", "Photoshop"),
        (b"\xff\x0a rest of it here", "JPEG XL"),
        (b"FUJIFILMCCD-RAW rest of it", "raw photo"),
        (b"\0\0\0\x18ftypheic rest of it", "HEIC"),
        (b"\0\0\0\x18ftypcrx  rest of it", "raw photo"),
    ],
)
def test_what_is_no_photo_is_called_what_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "photo.jpg").write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_picture(tmp_path / "photo.jpg")


@pytest.mark.parametrize("tags", [{50706: b"\1\4\0\0"}, {254: 1}])
def test_a_raw_file_is_not_its_small_preview(tmp_path: Path, tags: dict[int, Any]) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "photo.dng", "TIFF", tiffinfo=tags)
    with pytest.raises(InputError, match="is a raw photo"):
        read_picture(tmp_path / "photo.dng")


@pytest.mark.parametrize("strongest", [60, 128, 255])
def test_a_half_transparent_brush_is_a_brush(tmp_path: Path, strongest: int) -> None:
    layer = Image.new("RGBA", (40, 30), (0, 0, 0, 0))
    layer.paste((255, 0, 0, strongest), (10, 10, 20, 20))
    layer.save(tmp_path / "mask.png")
    mask = read_mask(tmp_path / "mask.png")
    assert mask[0, 15, 15] == 1
    assert mask[0, 5, 5] == 0


def test_addresses_and_standard_input_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="nothing is fetched"):
        read_picture(Path("https://example.com/a.jpg"))
    with pytest.raises(InputError, match="Standard input"):
        read_picture(Path("-"))
