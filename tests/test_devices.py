import pytest
import torch

from mofa.devices import pick_dtype
from mofa.errors import InputError


def test_float16_on_a_cpu_is_refused_with_what_to_take_instead() -> None:
    cpu = torch.device("cpu")
    with pytest.raises(InputError, match="bfloat16"):
        pick_dtype("float16", cpu)
    assert pick_dtype("bfloat16", cpu) == torch.bfloat16
    assert pick_dtype("auto", cpu) == torch.float32
