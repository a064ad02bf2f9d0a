"""A store and a hub cache of the test's own, and checkpoints that carry a kind's fingerprint."""

from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from mofa.weights.registry import find_checkpoint

Fingerprint = Callable[[str], dict[str, Tensor]]
WriteCheckpoint = Callable[[Path, str], Path]


@pytest.fixture(autouse=True)
def private_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOFA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def fingerprint() -> Fingerprint:
    """Tensors under the few keys, and in the released shapes, by which a kind is recognised."""

    def build(kind: str) -> dict[str, Tensor]:
        shapes = find_checkpoint(kind).fingerprint
        return {name: torch.zeros(shape, dtype=torch.int8) for name, shape in shapes.items()}

    return build


@pytest.fixture
def write_checkpoint(fingerprint: Fingerprint) -> WriteCheckpoint:
    """Writes a safetensors file that is recognised as the kind; returns its path."""

    def write(path: Path, kind: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(fingerprint(kind), path)
        return path

    return write
