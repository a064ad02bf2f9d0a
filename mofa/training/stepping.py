"""How a step is taken: by PyTorch, whoever holds the weights, or by DeepSpeed, with the optimiser in parts.

DeepSpeed's ZeRO (Rajbhandari et al. 2020, arXiv 1910.02054) shares out the optimiser among processes, and in
stage 2 the gradients. It takes a step within its own engine, so the loop asks for each part of a step by its
name here, and a gradient is looked at before weights change either way.
"""

import os
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Any, Protocol, runtime_checkable

import torch
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor, nn

from mofa.errors import InputError, ResourceError
from mofa.training.config import LoopSettings
from mofa.training.protocol import Draws, Loss, Objective
from mofa.training.sharding import is_shared_out, whole


@runtime_checkable
class Memory(Protocol):
    """What an optimiser remembers: for every parameter numbers and tensors by their names."""

    @property
    def state(self) -> Any:
        """Parameter -> name -> value, to read and to write."""
        ...


@runtime_checkable
class Steps(Protocol):
    """The parts of a step, in the order in which the loop asks for them."""

    @property
    def memory(self) -> Memory:
        """The optimiser's, which a checkpoint keeps."""
        ...

    @property
    def in_parts(self) -> bool:
        """Whether one process alone cannot say what all of a checkpoint holds."""
        ...

    def passing(self, last: bool) -> AbstractContextManager[Any]:
        """What a pass runs in; only after a step's last one gradients are shared."""
        ...

    def loss(self, batch: Any, draws: Draws) -> Loss:
        """The loss of a batch."""
        ...

    def backward(self, loss: Float[Tensor, ""]) -> None:
        """Adds the gradients of a loss to those of the step."""
        ...

    def length(self) -> Float[Tensor, ""]:
        """Length of all gradients together, before they are shortened to the recipe's limit."""
        ...

    def take(self, rate: float) -> None:
        """Changes the weights."""
        ...

    def forget(self) -> None:
        """Drops the gradients, without a step."""
        ...


class OwnSteps:
    """Steps of PyTorch's optimisers: one process, DDP, or FSDP2."""

    def __init__(
        self,
        accelerator: Accelerator,
        objective: Objective,
        optimiser: torch.optim.Optimizer,
        limit: float | None,
    ) -> None:
        self.accelerator, self.objective, self.limit = accelerator, objective, limit
        self.wrapped, self.memory = accelerator.prepare(objective, optimiser)

    @property
    def in_parts(self) -> bool:
        return is_shared_out(self.objective)

    def passing(self, last: bool) -> AbstractContextManager[Any]:
        silence: AbstractContextManager[Any] = self.accelerator.no_sync(self.wrapped)
        return nullcontext() if last else silence

    def loss(self, batch: Any, draws: Draws) -> Loss:
        found: Loss = self.wrapped(batch, draws)
        return found

    def backward(self, loss: Float[Tensor, ""]) -> None:
        self.accelerator.backward(loss)

    def length(self) -> Float[Tensor, ""]:
        self.accelerator.unscale_gradients()
        limit = float("inf") if self.limit is None else self.limit
        return whole(torch.nn.utils.clip_grad_norm_(list(self.objective.trained.values()), limit))

    def take(self, rate: float) -> None:
        for group in self.memory.param_groups:
            group["lr"] = rate
        self.memory.step()
        self.forget()

    def forget(self) -> None:
        self.memory.zero_grad(set_to_none=True)


class Trained(nn.Module):
    """What DeepSpeed sees of an objective: its trained parameters alone, which are float32.

    It would refuse a module that holds frozen networks in other formats.
    """

    def __init__(self, objective: Objective, autocast: AbstractContextManager[Any]) -> None:
        super().__init__()
        self.trained = nn.ParameterList(objective.trained.values())
        self._objective, self._autocast = (objective,), autocast  # a tuple is no part of the module

    def forward(self, batch: Any, draws: Draws) -> Tensor:
        with self._autocast:
            loss: Loss = self._objective[0](batch, draws)
        self.parts = loss.parts
        return loss.per_example.float()


class ZeroSteps:
    """Steps of DeepSpeed's engine: the optimiser, and in stage 2 the gradients, lie in parts."""

    in_parts = True

    def __init__(
        self,
        objective: Objective,
        optimiser: torch.optim.Optimizer,
        limit: float | None,
        loop: LoopSettings,
        config: Mapping[str, Any],
        device: torch.device,
    ) -> None:
        import deepspeed

        check_zero(loop, config)
        single = [name for name, parameter in objective.trained.items() if parameter.dim() == 0]
        if single:
            raise InputError(
                f"DeepSpeed cannot share out a single number, and {single[0]} is one: launch with ddp.yaml "
                "or fsdp2.yaml (`mofa train --list` says where they are)."
            )
        autocast = torch.autocast(device.type, torch.bfloat16, enabled=loop.precision == "bf16")
        zero = config["zero_optimization"]
        settings = {
            "train_micro_batch_size_per_gpu": loop.batch,
            "gradient_accumulation_steps": 1,  # the loop adds up passes itself
            "gradient_clipping": limit or 0.0,
            "zero_allow_untested_optimizer": True,
            "zero_optimization": {key: value for key, value in zero.items() if value != "auto"},
        }
        self.seen = Trained(objective, autocast)
        self.engine = deepspeed.initialize(model=self.seen, optimizer=optimiser, config=settings)[0]
        self.memory = ZeroMemory(self.engine.optimizer, list(objective.trained.values()))

    def passing(self, last: bool) -> AbstractContextManager[Any]:
        self.engine.set_gradient_accumulation_boundary(is_boundary=last)
        return nullcontext()

    def loss(self, batch: Any, draws: Draws) -> Loss:
        per_example: Tensor = self.engine(batch, draws)
        return Loss(per_example, self.seen.parts)

    def backward(self, loss: Float[Tensor, ""]) -> None:
        self.engine.backward(loss, scale_wrt_gas=False)

    def length(self) -> Float[Tensor, ""]:
        length: Tensor = self.engine.optimizer.scaled_global_norm()
        return torch.where(length < 0, torch.nan, length)  # it says -1 for what is no number

    def take(self, rate: float) -> None:
        for group in self.engine.optimizer.param_groups:
            group["lr"] = rate
        self.engine.step()

    def forget(self) -> None:
        self.engine.optimizer.zero_grad()


class ZeroMemory:
    """An optimiser in parts, read and written whole: all processes do it together, in the same order."""

    def __init__(self, optimiser: Any, parameters: list[nn.Parameter]) -> None:
        self.parts, self.parameters = optimiser, parameters

    @property
    def state(self) -> Mapping[nn.Parameter, MutableMapping[str, Any]]:
        """Of every parameter."""
        return {parameter: ParameterMemory(self.parts, parameter) for parameter in self.parameters}


class ParameterMemory(MutableMapping[str, Any]):
    """What the optimiser remembers of a parameter; processes hold runs of all parameters laid end to end."""

    def __init__(self, parts: Any, parameter: nn.Parameter) -> None:
        self.parts, self.parameter = parts, parameter

    @property
    def held(self) -> list[tuple[Tensor, dict[str, Any]]]:
        """This process's run of each group of parameters, and what is remembered of it."""
        states = self.parts.optimizer.state
        return [(run, states[run]) for run in self.parts.single_partition_of_fp32_groups]

    def __getitem__(self, key: str) -> Any:
        from deepspeed.utils import safe_get_full_optimizer_state

        value = self.held[0][1][key]
        tensor = isinstance(value, Tensor) and value.dim() > 0
        return safe_get_full_optimizer_state(self.parameter, key) if tensor else value

    def __setitem__(self, key: str, value: Any) -> None:
        from deepspeed.utils import safe_set_full_optimizer_state

        tensor = isinstance(value, Tensor) and value.dim() > 0
        for run, state in self.held:
            if not tensor:
                state[key] = value.clone() if isinstance(value, Tensor) else value
            elif key not in state:
                state[key] = torch.zeros_like(run)
                # DeepSpeed finds a parameter's place in what is remembered once, after the first step.
                self.parts._hp_optimizer_states_linked = False
        if tensor:
            self.parts._lazy_init_hp_params_optimizer_state()
            safe_set_full_optimizer_state(self.parameter, value.to(self.parameter.device), key)

    def __delitem__(self, key: str) -> None:
        raise TypeError("an optimiser forgets nothing of a parameter")

    def __iter__(self) -> Iterator[str]:
        return iter(list(self.held[0][1]))

    def __len__(self) -> int:
        return len(self.held[0][1])


def check_zero(loop: LoopSettings, config: Mapping[str, Any]) -> None:
    """Raises InputError for what the loop does not do with DeepSpeed."""
    zero = config.get("zero_optimization", {})
    stage = zero.get("stage")
    if stage not in (1, 2):
        raise InputError(
            f"DeepSpeed is told zero_stage {stage}: 1 and 2 are known here; to share out the weights, too, "
            "launch with fsdp2.yaml (`mofa train --list` says where it is)."
        )
    for key in ("offload_optimizer", "offload_param"):
        device = zero.get(key, {}).get("device")
        if device not in (None, "none"):
            raise InputError(
                f"DeepSpeed is told {key}_device {device}, where no length of a gradient could be looked at: "
                "set it to none."
            )
    if loop.precision == "fp16":
        raise InputError(
            "DeepSpeed scales losses of fp16 in a way of its own: set loop.precision=bf16, or launch with "
            "ddp.yaml or fsdp2.yaml (`mofa train --list` says where they are)."
        )


def check_counted(processes: int) -> None:
    """Raises ResourceError where more processes were started than accelerate knows of: DeepSpeed, no GPUs."""
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != processes:
        raise ResourceError(
            f"{started} processes were started and accelerate knows of {processes}: DeepSpeed needs a GPU "
            "for each; on a CPU launch with ddp.yaml and use_cpu: true."
        )


def check_deepspeed() -> None:
    """Raises ResourceError where DeepSpeed was asked for and is not there."""
    if find_spec("deepspeed") is None:
        raise ResourceError(
            "the run was launched with DeepSpeed, which is not installed: `pip install deepspeed`, or launch "
            "with fsdp2.yaml (`mofa train --list` says where it is)."
        )
