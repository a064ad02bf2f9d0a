import io
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mofa.errors import InputError
from mofa.media.flow_files import FLOW_GRID, read_flow, write_flo, write_flow
from mofa.types import FlowField


def some_flow(steps: int = 3, height: int = 5, width: int = 7) -> FlowField:
    generator = torch.Generator().manual_seed(0)
    pixels = 30 * torch.randn(steps, 2, height, width, generator=generator)
    valid = torch.rand(steps, 1, height, width, generator=generator) > 0.3
    return FlowField(torch.where(valid, pixels, 0.0), valid)


def test_flo_is_middleburys_format(tmp_path: Path) -> None:
    flow = torch.tensor([[[1.5, -2.0]], [[0.25, 8.0]]])  # x over y, one row of two pixels
    write_flo(tmp_path / "step.flo", flow)
    content = (tmp_path / "step.flo").read_bytes()
    assert content[:4] == b"PIEH"
    assert struct.unpack("<ii4f", content[4:]) == (2, 1, 1.5, 0.25, -2.0, 8.0)
    assert torch.equal(read_flow(tmp_path / "step.flo").pixels, flow[None])


def test_flo_keeps_what_is_unknown(tmp_path: Path) -> None:
    flow = some_flow(1)
    write_flo(tmp_path / "step.flo", flow.pixels[0], flow.valid[0])
    back = read_flow(tmp_path / "step.flo")
    assert torch.equal(back.valid, flow.valid)
    assert torch.equal(back.pixels, flow.pixels)


def test_all_steps_come_back(tmp_path: Path) -> None:
    flow = some_flow()
    write_flow(tmp_path / "flow.npz", flow)
    back = read_flow(tmp_path / "flow.npz")
    assert torch.equal(back.valid, flow.valid)
    assert (back.pixels - flow.pixels).abs().max() <= 0.5 / FLOW_GRID


def test_numpy_reads_it_without_us(tmp_path: Path) -> None:
    write_flow(tmp_path / "flow.npz", some_flow())
    with np.load(tmp_path / "flow.npz") as arrays:
        assert arrays["flow"].shape == (3, 2, 5, 7)
        assert arrays["flow"].dtype == np.float32
        assert arrays["valid"].dtype == bool


def test_we_read_what_numpy_wrote(tmp_path: Path) -> None:
    flow = some_flow().pixels.double().numpy()
    flow[0, 1, 2, 3] = np.nan
    np.savez_compressed(tmp_path / "flow.npz", flow=np.asfortranarray(flow))
    back = read_flow(tmp_path / "flow.npz")
    assert not back.valid[0, 0, 2, 3]
    assert back.valid.sum() == back.valid.numel() - 1
    assert (back.pixels[0, :, 2, 3] == 0).all()
    assert np.array_equal(back.pixels[1:].numpy(), flow[1:].astype(np.float32))


def test_the_same_flow_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_flow(tmp_path / "first.npz", some_flow())
    monkeypatch.setattr(time, "time", lambda: 2e9)
    write_flow(tmp_path / "second.npz", some_flow())
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


FLO = struct.pack("<fii", 202021.25, 2, 1) + bytes(16)
NPZ = npz(flow=np.zeros((1, 2, 2, 3), np.float32), valid=np.ones((1, 1, 2, 3), bool))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"neither of them", r"neither a \.flo nor an \.npz"),
        (FLO[:7], "cut short"),
        (FLO[:-1], "2 x 1 pixels but holds"),
        (struct.pack("<fii", 202021.25, -1, -1) + bytes(8), "-1 x -1"),
        (NPZ[:80], "holds no flow"),
        (npz(other=np.zeros(3)), "'flow'"),
        (npz(flow=np.zeros((2, 4, 5))), r"\[2, 4, 5\]"),
        (npz(flow=np.zeros((1, 2, 4, 5)), valid=np.ones((4, 5))), r"'valid' \[4, 5\]"),
        (npz(flow=np.zeros((1, 2, 0, 5))), r"\[1, 2, 0, 5\]"),
        (npz(flow=np.array([[None]])), "holds no flow"),
    ],
)
def test_wrong_files_get_one_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "foreign").write_bytes(content)
    with pytest.raises(InputError, match=words) as refusal:
        read_flow(tmp_path / "foreign")
    assert "foreign" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.sampled_from([b"", b"PIEH", b"PK", FLO, NPZ]),
    changes=st.lists(st.tuples(st.integers(0, 700), st.binary(min_size=1, max_size=8)), max_size=5),
    length=st.integers(1, 900),
)
def test_no_bytes_raise_anything_else(
    tmp_path: Path, seed: bytes, changes: list[tuple[int, bytes]], length: int
) -> None:
    content = bytearray(seed)
    for place, new in changes:
        content[place : place + len(new)] = new
    (tmp_path / "foreign").write_bytes(content[:length])
    try:
        flow = read_flow(tmp_path / "foreign")
    except InputError:
        return
    assert torch.isfinite(flow.pixels).all()
    assert flow.valid.shape == flow.pixels[:, :1].shape
