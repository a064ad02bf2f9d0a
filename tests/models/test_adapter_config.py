from typing import Any

import pytest

from mofa.errors import WeightsError
from mofa.models.adapter_config import RELEASED_HEADS, AdapterConfig, read_adapter_config, released_fields
from mofa.models.tiny import TINY_ADAPTER

RELEASED = {"_class_name": "FlowControlNet", "block_out_channels": [320, 640, 1280, 1280]}


@pytest.mark.parametrize("said", [{}, {"num_attention_heads": 8}, {"num_attention_heads": [5, 10, 20, 20]}])
def test_a_released_adapter_has_the_heads_it_was_trained_with_whatever_its_file_says(
    said: dict[str, Any],
) -> None:
    assert read_adapter_config(RELEASED | said, "config.json").num_attention_heads == RELEASED_HEADS


def test_an_adapter_that_mofa_wrote_has_the_heads_that_it_states() -> None:
    for config in (TINY_ADAPTER, AdapterConfig(num_attention_heads=(5, 10, 20, 20))):
        assert read_adapter_config(released_fields(config), "config.json") == config


def test_another_size_must_state_its_heads() -> None:
    with pytest.raises(WeightsError, match="no num_attention_heads"):
        read_adapter_config(RELEASED | {"block_out_channels": [32, 32, 64, 64]}, "config.json")
