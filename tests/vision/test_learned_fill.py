"""Holes filled by a network in an ONNX file; here one that makes what is seen brighter by its mask."""

from pathlib import Path

import pytest
import torch

from mofa.errors import WeightsError
from mofa.vision.learned_fill import SIDE, LearnedFill
from mofa.weights.lama import load_lama


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number % 128 + 128])
        number //= 128
    return out + bytes([number])


def number(field: int, value: int) -> bytes:
    return varint(field * 8) + varint(value)


def block(field: int, content: bytes | str) -> bytes:
    content = content.encode() if isinstance(content, str) else content
    return varint(field * 8 + 2) + varint(len(content)) + content


def value(name: str, *shape: int) -> bytes:
    dims = b"".join(block(1, number(1, n)) for n in shape)
    return block(1, name) + block(2, block(1, number(1, 1) + block(2, dims)))


def node(kind: str, one: str, other: str, made: str) -> bytes:
    return block(1, one) + block(1, other) + block(2, made) + block(3, made) + block(4, kind)


def onnx_file(path: Path) -> Path:
    """255 * image + 100 * mask, in the format of onnx.proto (field numbers of its version 3)."""
    images, masks = (1, 3, SIDE, SIDE), (1, 1, SIDE, SIDE)
    factors = [
        number(1, 1) + number(2, 1) + block(8, name) + block(9, torch.tensor([factor]).numpy().tobytes())
        for name, factor in (("c", 255.0), ("d", 100.0))
    ]
    graph = block(1, node("Mul", "image", "c", "bright")) + block(1, node("Mul", "mask", "d", "more"))
    graph += block(1, node("Add", "bright", "more", "output")) + block(2, "toy")
    graph += b"".join(block(5, factor) for factor in factors)
    graph += block(11, value("image", *images)) + block(11, value("mask", *masks))
    graph += block(12, value("output", *images))
    path.write_bytes(number(1, 7) + block(7, graph) + block(8, block(1, "") + number(2, 13)))
    return path


def test_the_hole_alone_is_filled_by_what_the_network_makes_of_its_surroundings(tmp_path: Path) -> None:
    picture = torch.full((3, 120, 160), 0.25)
    hole = torch.zeros(120, 160, dtype=torch.bool)
    hole[40:80, 60:90] = True
    filled = LearnedFill.read(onnx_file(tmp_path / "toy.onnx"))(picture, hole, hole)
    torch.testing.assert_close(filled[:, ~hole], picture[:, ~hole])
    inner = filled[:, 50:70, 70:80]
    torch.testing.assert_close(inner, torch.full_like(inner, 0.25 + 100 / 255), rtol=0, atol=0.01)


def test_another_file_under_its_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not the published"):
        load_lama(onnx_file(tmp_path / "inpainting_lama_2025jan.onnx"))
