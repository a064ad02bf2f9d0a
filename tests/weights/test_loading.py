from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mofa.errors import WeightsError
from mofa.weights.loading import load_exactly

FILE = Path("released.safetensors")


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def test_meta_modules_are_filled_without_a_second_copy() -> None:
    tensors = network().state_dict()
    with torch.device("meta"):
        empty = network()
    load_exactly(empty, tensors, "cmp", FILE)
    assert torch.equal(empty[0].weight, tensors["0.weight"])
    assert empty[0].weight.data_ptr() == tensors["0.weight"].data_ptr()
    assert empty(torch.zeros(1, 1, 4, 4)).shape == (1, 2, 2, 2)


def test_types_are_converted_at_the_door_and_counters_keep_theirs() -> None:
    half = network().half()
    load_exactly(half, network().state_dict(), "cmp", FILE)
    assert half[0].weight.dtype == torch.float16
    load_exactly(half, network().state_dict(), "cmp", FILE, dtype=torch.bfloat16)
    assert half[0].weight.dtype == torch.bfloat16
    assert half[1].num_batches_tracked.dtype == torch.int64


def test_training_can_go_on_with_loaded_weights() -> None:
    fresh = network()
    load_exactly(fresh, network().state_dict(), "cmp", FILE)
    assert fresh[0].weight.requires_grad


def test_batch_counters_may_be_missing_or_left_over() -> None:
    tensors = network().state_dict()
    counter = tensors.pop("1.num_batches_tracked")
    loaded = network()
    load_exactly(loaded, tensors, "cmp", FILE)
    assert loaded[1].num_batches_tracked == 0
    load_exactly(
        nn.Linear(1, 1), {**nn.Linear(1, 1).state_dict(), "old.num_batches_tracked": counter}, "cmp", FILE
    )


def test_two_modules_share_one_file_out() -> None:
    whole = {"encoder.weight": torch.ones(2, 2), "trunk.weight": torch.full((2, 2), 2.0)}
    encoder = nn.ModuleDict({"encoder": nn.Linear(2, 2, bias=False)})
    trunk = nn.ModuleDict({"trunk": nn.Linear(2, 2, bias=False)})
    load_exactly([encoder, trunk], whole, "trajectory-adapter", FILE)
    assert torch.equal(encoder["encoder"].weight, whole["encoder.weight"])
    assert torch.equal(trunk["trunk"].weight, whole["trunk.weight"])
    with pytest.raises(WeightsError, match=r"left over trunk\.weight"):
        load_exactly(encoder, whole, "trajectory-adapter", FILE)


def test_two_modules_that_want_the_same_key_are_a_mistake() -> None:
    layer = nn.Linear(1, 1)
    with pytest.raises(AssertionError, match="same keys"):
        load_exactly([layer, layer], layer.state_dict(), "cmp", FILE)


def test_a_misfit_names_the_first_keys_and_the_file() -> None:
    tensors = network().state_dict()
    tensors["0.weight"] = torch.zeros(2, 1, 5, 5)
    for name in ("0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"):
        del tensors[name]
    before = network()
    kept = {name: tensor.clone() for name, tensor in before.state_dict().items()}
    with pytest.raises(WeightsError) as raised:
        load_exactly(before, tensors, "cmp", FILE)
    message = str(raised.value)
    assert "missing 0.bias, 1.weight, 1.bias and 2 more" in message
    assert "0.weight [2, 1, 5, 5] instead of [2, 1, 3, 3]" in message
    assert "released.safetensors" in message
    assert all(torch.equal(kept[name], tensor) for name, tensor in before.state_dict().items())


def test_the_wrong_checkpoint_is_named(fingerprint: Callable[[str], dict[str, Tensor]]) -> None:
    with pytest.raises(
        WeightsError, match="looks like the landmark adapter, not like the trajectory adapter"
    ):
        load_exactly(network(), fingerprint("landmark-adapter"), "trajectory-adapter", FILE)


def test_harmless_keys_of_a_kind_are_left_over_silently() -> None:
    layer = nn.Linear(2, 2)
    extra = {"vision_model.embeddings.position_ids": torch.arange(3)}
    load_exactly(layer, {**layer.state_dict(), **extra}, "svd-image-encoder", FILE)
    with pytest.raises(WeightsError, match="left over"):
        load_exactly(layer, {**layer.state_dict(), **extra}, "cmp", FILE)
