"""The weights that tell things apart come with the package, whole or not at all."""

from pathlib import Path

import pytest

from mofa.errors import WeightsError
from mofa.pipeline import things as sense
from mofa.weights import things


def test_they_are_small_and_load() -> None:
    assert things.FILE.stat().st_size <= 8_000_000
    assert not things.load_things().training


def test_one_wrong_byte_is_noticed_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = bytearray(things.FILE.read_bytes())
    damaged[-5] ^= 1
    (tmp_path / "things.safetensors").write_bytes(damaged)
    monkeypatch.setattr(things, "FILE", tmp_path / "things.safetensors")
    with pytest.raises(WeightsError, match="install mofa again"):
        things.load_things.__wrapped__()
    sense.sense_of_things.cache_clear()
    things.load_things.cache_clear()
    found, note = sense.sense_or_note()
    assert found is None
    assert note is not None
    assert "colours alone" in note
