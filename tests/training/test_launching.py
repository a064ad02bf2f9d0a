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
from mofa.errors import InputError, ResourceError
from mofa.models.motion_adapter import MotionAdapter
from mofa.models.tiny import TINY_ADAPTER
from mofa.training import stepping
from mofa.training.config import LoopSettings
from mofa.training.loop import train
from mofa.training.stepping import check_counted, check_zero

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


def test_deepspeed_shares_out_gradients_and_optimiser(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = parsed("deepspeed", monkeypatch)
    assert arguments.use_deepspeed
    assert not arguments.multi_gpu
    assert arguments.num_processes == 8
    assert arguments.zero_stage == 2
    assert arguments.gradient_accumulation_steps == 1
    assert arguments.offload_optimizer_device == arguments.offload_param_device == "none"
    assert arguments.mixed_precision == "no"


def test_without_deepspeed_a_run_that_asks_for_it_names_another_way(
    line_recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Asked for by the environment, as `accelerate launch --config_file deepspeed.yaml` does.
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setattr(stepping, "find_spec", lambda name: None)
    with pytest.raises(ResourceError, match=r"not installed: `pip install deepspeed`, or.*fsdp2\.yaml"):
        train(line_recipe(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("zero", "precision", "sentence"),
    [
        ({"stage": 3}, "no", r"zero_stage 3: 1 and 2 are known.*fsdp2\.yaml"),
        ({"stage": 2, "offload_optimizer": {"device": "cpu"}}, "no", "offload_optimizer_device cpu"),
        ({"stage": 2}, "fp16", r"loop\.precision=bf16"),
    ],
)
def test_what_the_loop_does_not_do_with_deepspeed_is_told(
    zero: dict[str, object], precision: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        check_zero(LoopSettings(precision=precision), {"zero_optimization": zero})
    check_zero(LoopSettings(precision="bf16"), {"zero_optimization": {"stage": 2}})


def test_processes_that_accelerate_does_not_know_of_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # Launched with DeepSpeed on a machine without GPUs, each of two processes takes itself for the only one.
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ResourceError, match="2 processes were started and accelerate knows of 1"):
        check_counted(1)
    check_counted(2)


def test_the_list_of_recipes_says_where_the_files_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--list"]) == 0
    said = capsys.readouterr().out
    assert all(str(LAUNCHING / f"{name}.yaml") in said for name in ("ddp", "fsdp2", "deepspeed"))
