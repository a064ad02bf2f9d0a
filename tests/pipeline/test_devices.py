"""A clip spread over several devices is the clip of one, bit for bit."""

import os
import signal

import pytest
import torch
from torch import Tensor

from mofa.errors import InputError, ResourceError
from mofa.evaluation.stages import toy_networks
from mofa.pipeline.mofa_pipeline import MofaPipeline
from mofa.pipeline.request import AnimationRequest
from mofa.renderers.diffusion.settings import DiffusionSettings, SvdSettings
from mofa.sampling import spread
from mofa.sampling.spread import parts

CPU = torch.device("cpu")
PICTURE = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
TRACK = {"kind": "track", "points": "20,20 40,20"}


def latents_of(settings: DiffusionSettings, frames: int) -> list[Tensor]:
    """What every step leaves."""
    torch.manual_seed(0)
    pipe = MofaPipeline(toy_networks(CPU, torch.float32), settings)
    seen: list[Tensor] = []

    def keep(pipe: MofaPipeline, step: int, timestep: Tensor, tensors: dict[str, Tensor]) -> None:
        seen.append(tensors["latents"])

    pipe(PICTURE, [TRACK], num_frames=frames, output_type="latent", callback_on_step_end=keep)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize(
    ("frames", "more"),
    [(5, {"window": 3, "stride": 1}), (3, {"guidance_down_to": 1.0}), (3, {"reuse": 2, "steps": 6})],
    ids=["windows", "halves", "steps that take over"],
)
def test_two_processes_make_the_latents_of_one_bit_for_bit(frames: int, more: dict) -> None:
    usual = {"steps": 3, "halves_at_once": 1, "adapters": True} | more
    alone = latents_of(SvdSettings(**usual, device="cpu"), frames)
    together = latents_of(SvdSettings(**usual, devices=("cpu", "cpu")), frames)
    assert len(alone) == usual["steps"]
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))


@pytest.mark.slow
def test_a_process_that_ends_is_named_and_leaves_none_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    begin = spread.Colleague.__init__

    def begin_and_kill(colleague, *given) -> None:
        begin(colleague, *given)
        started.append(colleague._process.pid)
        os.kill(colleague._process.pid, signal.SIGKILL)

    monkeypatch.setattr(spread.Colleague, "__init__", begin_and_kill)
    with pytest.raises(ResourceError, match="process on cpu has ended"):
        latents_of(SvdSettings(steps=1, devices=("cpu", "cpu")), 3)
    with pytest.raises(ProcessLookupError):
        os.kill(started[0], 0)


def test_shares_are_neighbours_and_even() -> None:
    assert [list(part) for part in parts(range(7), 3)] == [[0, 1, 2], [3, 4], [5, 6]]
    assert [list(part) for part in parts([0], 2)] == [[0], []]


def test_the_first_of_the_devices_is_the_device() -> None:
    data = {"picture": "p.png", "controls": [TRACK]}
    request = AnimationRequest.from_data(data | {"diffusion": {"devices": ["cpu", "cpu"]}})
    assert request.diffusion.device == "cpu"
    assert AnimationRequest.from_data(request.to_data()) == request
    assert AnimationRequest.from_data(data | {"diffusion": {"devices": "cpu, cpu"}}) == request
    for wrong in ({"device": "mps"}, {"offload": "model"}):
        with pytest.raises(InputError, match="devices"):
            AnimationRequest.from_data(data | {"diffusion": {"devices": ["cpu", "cpu"]} | wrong})
