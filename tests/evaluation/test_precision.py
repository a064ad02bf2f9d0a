"""A guided step of all networks in half precision stays near float32, on the best device there is."""

import pytest
import torch

from mofa.devices import pick_device
from mofa.evaluation.bench import run_stage
from mofa.evaluation.stages import TOY_SIZE, stages, toy_networks


def clean_estimate(dtype: torch.dtype) -> torch.Tensor:
    """What a step with both adapters and both guidance halves makes of the same weights and inputs."""
    torch.manual_seed(0)
    model = toy_networks(torch.device("cpu"), torch.float32)
    device = pick_device()
    for network in model.networks():
        network.to(device)
        if network is not model.sparse_to_dense:
            torch.nn.Module.to(network, dtype)
    torch.manual_seed(1)
    listed = {stage.name: stage for stage in stages(model, TOY_SIZE)}
    return run_stage(listed["step, whole"]).float()


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float16, 2e-2), (torch.bfloat16, 8e-2)])
def test_half_precision_stays_near_float32(dtype: torch.dtype, limit: float) -> None:
    exact, rounded = clean_estimate(torch.float32), clean_estimate(dtype)
    assert 0 < float((rounded - exact).norm() / exact.norm()) < limit
