"""Files for `accelerate launch`: accelerate reads in them what their comments say."""

from importlib.resources import files
from pathlib import Path

import pytest
from accelerate.commands import launch
from accelerate.utils import (
    FullyShardedDataParallelPlugin,
    prepare_multi_gpu_env,
)
from diffusers.models.resnet import SpatioTemporalResBlock
from diffusers.models.transformers.transformer_temporal import TransformerSpatioTemporalModel

from mofa.apps.cli import main
from mofa.errors import InputError
from mofa.models.motion_adapter import MotionAdapter
from mofa.models.tiny import TINY_ADAPTER
from mofa.training.loop import train

LAUNCHING = Path(str(files("mofa.training") / "launching"))


def parsed(name: str, monkeypatch: pytest.MonkeyPatch):
    """What accelerate makes of a file on a machine with GPUs."""
    monkeypatch.setattr(launch.torch.cuda, "device_count", lambda: 8)
    command = ["--config_file", str(LAUNCHING / f"{name}.yaml"), "-m", "mofa.apps.cli", "train", "landmark"]
    arguments, _, _ = launch._validate_launch_command(launch.launch_command_parser().parse_args(command))
    return arguments


def test_the_default_shares_gradients_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = parsed("ddp", monkeypatch)
    assert arguments.multi_gpu
    assert not arguments.use_fsdp
    assert not arguments.use_deepspeed
    assert arguments.num_processes == 8


def test_fsdp2_wraps_what_adapters_are_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = parsed("fsdp2", monkeypatch)
    assert arguments.use_fsdp
    for key, value in prepare_multi_gpu_env(arguments).items():
        monkeypatch.setenv(key, value)
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2
    assert plugin.reshard_after_forward is True
    assert not plugin.cpu_ram_efficient_loading
    assert not plugin.activation_checkpointing
    adapter = MotionAdapter(TINY_ADAPTER)
    plugin.set_auto_wrap_policy(adapter)
    assert plugin.auto_wrap_policy is not None
    wrapped = {
        type(module)
        for module in adapter.modules()
        if plugin.auto_wrap_policy(module=module, recurse=False, nonwrapped_numel=0)
    }
    assert wrapped == {SpatioTemporalResBlock, TransformerSpatioTemporalModel}


def test_deepspeed_is_refused_in_a_sentence_that_names_another_way(
    line_recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Asked for by the environment, as `accelerate launch --use_deepspeed` does.
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(InputError, match=r"DeepSpeed takes its steps by itself.*fsdp2\.yaml"):
        train(line_recipe(), tmp_path / "run", on_cpu=True)
    assert not (tmp_path / "run").exists()


def test_the_list_of_recipes_says_where_the_files_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--list"]) == 0
    said = capsys.readouterr().out
    assert all(str(LAUNCHING / f"{name}.yaml") in said for name in ("ddp", "fsdp2"))
