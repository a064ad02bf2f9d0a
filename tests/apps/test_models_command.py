import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import save_file

from mofa.apps.models_command import add_parser
from mofa.errors import InputError, WeightsError
from mofa.weights.registry import SLOTS, find_checkpoint

Mofa = Callable[..., int]


@pytest.fixture
def mofa(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mofa:
    """Runs `mofa models ...` on a store of the test's own; returns the exit code."""
    monkeypatch.setenv("MOFA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("mofa.weights.store.find_spec", lambda package: None)

    def run(*words: str) -> int:
        parser = argparse.ArgumentParser()
        add_parser(parser.add_subparsers())
        arguments = parser.parse_args(["models", *words])
        return arguments.run(arguments)

    return run


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A file that is recognised as CMP."""
    shapes = find_checkpoint("cmp").fingerprint
    tensors = {name: torch.zeros(shape, dtype=torch.int8) for name, shape in shapes.items()}
    save_file(tensors, tmp_path / "found somewhere.safetensors")
    return tmp_path / "found somewhere.safetensors"


def test_the_list_names_every_slot_its_size_and_terms(mofa: Mofa, capsys: pytest.CaptureFixture[str]) -> None:
    assert mofa("list", "--json") == 0
    entries = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert entries.keys() == {slot.name for slot in SLOTS}
    assert entries["svd-xt"]["gated"]
    assert "non-commercial" in entries["svd-xt"]["terms"]
    assert {entry["state"] for entry in entries.values()} == {"absent"}
    assert mofa("list") == 0
    assert "about 4.5 GB" in capsys.readouterr().out


def test_a_life_of_weights(
    mofa: Mofa, checkpoint: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert mofa("import", str(tmp_path)) == 0
    assert f"cmp: {checkpoint}" in capsys.readouterr().out
    assert mofa("where", "cmp", "--json") == 0
    where = json.loads(capsys.readouterr().out)["slots"]["cmp"]
    [path] = where["files"].values()
    assert path.startswith(where["folder"])
    assert mofa("verify", "cmp") == 0
    assert "1 passed, 0 failed" in capsys.readouterr().out
    Path(path).write_bytes(Path(path).read_bytes()[:-1] + b"\x01")
    assert mofa("verify", "--json") == WeightsError.exit_code
    [check] = json.loads(capsys.readouterr().out)
    assert check["ok"] is False
    assert "checksum differs" in check["problem"]
    assert mofa("remove", "cmp", "--yes") == 0
    assert "freed" in capsys.readouterr().out
    assert not Path(path).exists()
    assert checkpoint.exists()


def test_nothing_is_removed_unasked(mofa: Mofa, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mofa("import", str(checkpoint))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    with pytest.raises(InputError, match=r"cmp \(\S+ kB\) is not removed unasked"):
        mofa("remove", "cmp")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert mofa("remove", "cmp") == 0
    assert mofa("verify", "cmp") == 0


def test_any_checkpoint_can_be_converted(
    mofa: Mofa, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"state_dict": {"module.w": torch.ones(2)}}, tmp_path / "old.pth.tar")
    assert mofa("convert", str(tmp_path / "old.pth.tar")) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "old.safetensors")
    assert (tmp_path / "old.safetensors").exists()


def test_terms_are_shown_before_anything_is_fetched(
    mofa: Mofa, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    with pytest.raises(WeightsError, match="HF_TOKEN"):
        mofa("download", "svd-xt")
    assert "non-commercial use only" in capsys.readouterr().out


def test_verifying_what_is_not_there_is_an_error(mofa: Mofa) -> None:
    with pytest.raises(WeightsError, match="landmark cannot be verified"):
        mofa("verify", "landmark")


def test_help_waits_for_no_library() -> None:
    libraries = "{'torch', 'rich', 'huggingface_hub'}"
    script = f"import sys, mofa.apps.models_command; print({libraries} & sys.modules.keys())"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
