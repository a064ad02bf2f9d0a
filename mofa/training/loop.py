"""The training loop: examples, loss, gradients, step, mean, report, validate, checkpoint.

In the manner of EDM2's (Karras et al. 2024, arXiv 2312.02696): paragraphs in the order of events. One process
or several (`accelerate launch -m mofa.apps.cli train ...`), with the same result up to rounding.
"""

import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import yaml
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.tracking import GeneralTracker
from accelerate.utils import DistributedType

from mofa.errors import InputError, MofaError, OutputError, ResourceError
from mofa.training.checkpoint import (
    RunState,
    checkpoints,
    find_resume,
    prune,
    read_memory_into,
    read_state,
    read_weights_into,
    sweep,
    take_snapshot,
    write_checkpoint,
)
from mofa.training.config import OptimiserSettings, Recipe, plain
from mofa.training.held_out import at_mean, clips_made, losses, save_figure
from mofa.training.loading import Shares, batches, first_of
from mofa.training.protocol import Objective, Source, moved
from mofa.training.reporting import check_installed, open_destinations
from mofa.training.sharding import is_shared_out
from mofa.training.stepping import OwnSteps, Steps, ZeroSteps, check_counted, check_deepspeed
from mofa.types import Progress, silent


@dataclass
class Trainer:
    """A run's parts, as they are while it goes on."""

    recipe: Recipe
    run: Path
    accelerator: Accelerator
    objective: Objective
    steps: Steps
    shares: Shares
    state: RunState
    destinations: list[GeneralTracker] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    asked_to_stop: bool = False

    @property
    def about(self) -> dict[str, Any]:
        """What a checkpoint says about the run."""
        return {
            "processes": self.shares.processes,
            "batch": self.shares.batch,
            "accumulation": self.shares.accumulation,
            "recipe": plain(self.recipe),
        }


def train(
    recipe: Recipe, run: Path, resume: str | None = None, on_cpu: bool = False, progress: Progress = silent
) -> Path:
    """Trains by a recipe into the folder `run`; returns the last checkpoint.

    `resume` is `latest` or a checkpoint's folder. Raises InputError: `run` holds checkpoints and nothing was
    said about going on, or a checkpoint of another run is asked for. ResourceError: the loss is no number
    (a checkpoint of the last good weights is written), or a worker died.
    """
    source = recipe.data.build(recipe.loop.seed)
    held_out = None if recipe.validation is None else recipe.validation.build(recipe.loop.seed + 1)
    # Data that hold nothing to read are told before gigabytes of weights are read, or anything is written.
    first_of(source)
    trainer = prepare(recipe, run, resume, on_cpu)
    passes = recipe.loop.accumulation
    data = batches(
        source, trainer.shares, trainer.state.step * passes, recipe.loop.steps * passes, recipe.loop.workers
    )
    with stop_on_signal(trainer), reporting_ends(trainer):
        if held_out is not None and trainer.state.step == 0 and recipe.loop.generation.examples:
            validate(trainer, held_out)
        while trainer.state.step < recipe.loop.steps and not trainer.asked_to_stop:
            report = take_step(trainer, data)
            log(trainer, report)
            progress("train", trainer.state.step, recipe.loop.steps)
            if held_out is not None and is_due(trainer, recipe.loop.validate_every):
                validate(trainer, held_out)
            if is_due(trainer, recipe.loop.checkpoint_every):
                save(trainer)
    if trainer.asked_to_stop:
        save(trainer)
        raise ResourceError(
            f"the run was told to stop; {run / f'checkpoint-{trainer.state.step}'} holds it: go on with "
            "--resume latest."
        )
    last = save(trainer)
    if last is None:
        held = list(checkpoints(run).values())
        raise OutputError(
            f"the run is done, and its last checkpoint could not be written into {run}: make room, and go on "
            f"with --resume latest{f' from {held[-1].name}' if held else ', which begins anew'}."
        )
    return last


def prepare(recipe: Recipe, run: Path, resume: str | None, on_cpu: bool) -> Trainer:
    """Everything that a run needs, with the weights it goes on from."""
    loop = recipe.loop
    check_installed(loop.report_to)
    by_engine = os.environ.get("ACCELERATE_USE_DEEPSPEED", "false").lower() == "true" and not on_cpu
    if by_engine:
        check_deepspeed()
    # An objective may leave some parameters out of some steps.
    sharing = DistributedDataParallelKwargs(find_unused_parameters=True)
    # DeepSpeed would change the weights' own format: the steps' `autocast` serves in its stead.
    precision = "no" if by_engine else loop.precision
    accelerator = Accelerator(cpu=on_cpu, mixed_precision=precision, kwargs_handlers=[sharing])
    check_counted(accelerator.num_processes)
    if resume is None and checkpoints(run):
        raise InputError(f"{run} holds checkpoints already: add --resume latest, or name another folder.")
    objective = recipe.objective.build(accelerator.device, getattr(torch, loop.frozen_precision))
    objective.checkpointing(loop.gradient_checkpointing)
    if not objective.trained:
        raise InputError("the recipe freezes every parameter: nothing would be trained.")
    optimiser = make_optimiser(objective, recipe.optimiser)
    state = RunState()
    shares = Shares(loop.batch, loop.accumulation, accelerator.num_processes, accelerator.process_index)
    checkpoint = None if resume is None else find_resume(run, resume)
    if checkpoint is not None:
        check_processes(checkpoint, shares)
        read_weights_into(checkpoint, objective)
    if accelerator.is_main_process:
        run.mkdir(parents=True, exist_ok=True)
        sweep(run)
        content = yaml.safe_dump(plain(recipe), sort_keys=False)
        (run / "recipe.yaml").write_text(content, encoding="utf-8")
        drop_later_lines(run / "metrics.jsonl", 0 if checkpoint is None else read_state(checkpoint)["step"])
    objective.train()
    steps = steps_of(accelerator, objective, optimiser, recipe)
    # Only now is it known who holds which part of what goes along with the weights.
    if is_shared_out(objective) and loop.generation.examples:
        raise InputError(
            "one process makes a validation's clips, and here each holds a part of the weights: set "
            "loop.generation.examples=0."
        )
    if checkpoint is not None:
        state = read_memory_into(checkpoint, objective, steps.memory)
    elif loop.average is not None:
        state.average = {name: p.detach().clone() for name, p in objective.trained.items()}
    destinations = open_destinations(loop.report_to, run, plain(recipe), state.step)
    return Trainer(recipe, run, accelerator, objective, steps, shares, state, destinations)


def steps_of(
    accelerator: Accelerator, objective: Objective, optimiser: torch.optim.Optimizer, recipe: Recipe
) -> Steps:
    """The way in which this run takes its steps: as it was launched."""
    limit = recipe.optimiser.max_gradient_norm
    if accelerator.distributed_type != DistributedType.DEEPSPEED:
        return OwnSteps(accelerator, objective, optimiser, limit)
    config = accelerator.state.deepspeed_plugin.deepspeed_config
    return ZeroSteps(objective, optimiser, limit, recipe.loop, config, accelerator.device)


def check_processes(checkpoint: Path, shares: Shares) -> None:
    """A run goes on with as many examples per step, shared out in the same way."""
    before = read_state(checkpoint)
    was = tuple(before.get(key) for key in ("processes", "batch", "accumulation"))
    now = (shares.processes, shares.batch, shares.accumulation)
    if was != now:
        words = [f"{p} processes x batch {b} x accumulation {a}" for p, b, a in (was, now)]
        raise InputError(
            f"{checkpoint} was made with {words[0]}, and this run has {words[1]}: use the former, so that "
            "the data's order goes on as it would have."
        )


def make_optimiser(objective: Objective, settings: OptimiserSettings) -> torch.optim.Optimizer:
    """SGD or AdamW over the trained parameters, or AdamW in 8 bits where bitsandbytes is installed."""
    if settings.name == "sgd":
        return torch.optim.SGD(
            objective.trained.values(),
            lr=settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
    options: dict[str, Any] = {
        "lr": settings.learning_rate,
        "betas": settings.betas,
        "eps": settings.epsilon,
        "weight_decay": settings.weight_decay,
    }
    parameters = list(objective.trained.values())
    if settings.name == "adamw":
        # On a CPU the loop over parameters is slow: a toy network has 1,400 of them. A GPU has its own ways.
        fused = True if all(p.device.type == "cpu" for p in parameters) else None
        return torch.optim.AdamW(parameters, fused=fused, **options)
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        raise ResourceError(
            "adamw-8bit needs bitsandbytes: `pip install bitsandbytes`, or set optimiser.name=adamw."
        ) from error
    optimiser: torch.optim.Optimizer = AdamW8bit(parameters, **options)
    return optimiser


def rate_at(step: int, settings: OptimiserSettings, steps: int) -> float:
    """The learning rate of step `step` (0 is the first): a function of the step, so nothing to save."""
    warm = min(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    share = min(1.0, step / max(1, steps))
    fall = {
        "constant": 1.0,
        "linear": 1 - share,
        "cosine": 0.5 * (1 + float(torch.cos(torch.tensor(share * torch.pi)))),
        "tenths": 0.1 ** sum(step >= fall for fall in settings.falls),
    }[settings.schedule]
    return settings.learning_rate * warm * fall


def take_step(trainer: Trainer, data: Iterator[Any]) -> dict[str, float]:
    """One step on one batch per pass; returns its numbers. The weights change at its end, or not at all."""
    recipe, accelerator, begin = trainer.recipe, trainer.accelerator, time.perf_counter()
    passes = recipe.loop.accumulation
    losses, parts, names = [], {}, []
    waited = 0.0
    for i in range(passes):
        asked = time.perf_counter()
        batch = next(data)
        waited += time.perf_counter() - asked
        names += list(batch.name) if isinstance(batch.name, tuple) else [batch.name]
        batch = moved(batch, lambda tensor: tensor.to(accelerator.device, non_blocking=True))
        draws = trainer.shares.draws(recipe.loop.seed, trainer.state.step * passes + i)
        with or_ends_run(trainer), trainer.steps.passing(last=i + 1 == passes):
            loss = trainer.steps.loss(batch, draws)
            mean = loss.per_example.mean()
            trainer.steps.backward(mean / passes)
        losses.append(mean.detach())
        parts = dict(loss.parts)
    with or_ends_run(trainer):
        total = accelerator.reduce(torch.stack(losses).mean(), "mean")
        length = trainer.steps.length()
    rate = rate_at(trainer.state.step, recipe.optimiser, recipe.loop.steps)
    # Under float16 a gradient may overflow: the scaler then skips the step by itself.
    if not torch.isfinite(total) or not (torch.isfinite(length) or recipe.loop.precision == "fp16"):
        stop_at_nonsense(trainer, float(total), names)
    trainer.steps.take(rate)
    trainer.state.step += 1
    follow_mean(trainer)
    return {
        "loss": float(total),
        "gradient": float(length),
        "rate": rate,
        "seconds": time.perf_counter() - begin,
        "waited": waited,
        **parts,
    }


def follow_mean(trainer: Trainer) -> None:
    """Moves the running mean of the weights towards them; quicker at first, when it knows little."""
    average, decay = trainer.state.average, trainer.recipe.loop.average
    if average is None or decay is None:
        return
    decay = min(decay, (1 + trainer.state.step) / (10 + trainer.state.step))
    with torch.no_grad():
        for name, parameter in trainer.objective.trained.items():
            average[name].lerp_(parameter.detach(), 1 - decay)


def stop_at_nonsense(trainer: Trainer, loss: float, names: list[str]) -> None:
    """Ends the run with a checkpoint of the weights before this step."""
    trainer.steps.forget()
    save(trainer)
    kept = trainer.run / f"checkpoint-{trainer.state.step}"
    raise ResourceError(
        f"step {trainer.state.step + 1}: the loss is {loss}, or its gradient no number, for "
        f"{', '.join(names)}; the weights before it are in {kept}: lower optimiser.learning_rate, use "
        "loop.precision=bf16, or take these clips out."
    )


def validate(trainer: Trainer, source: Source) -> None:
    """Loss and measures on held-out examples, with the same noise every time; the best step is remembered."""
    loop, shares, device = trainer.recipe.loop, trainer.shares, trainer.accelerator.device
    count = max(1, loop.validation_examples // (loop.batch * shares.processes))
    with at_mean(trainer.objective, trainer.state.average):
        own, measures = losses(trainer.objective, source, shares, loop.seed, count, device)
        measures |= look(trainer, source)
    loss = float(trainer.accelerator.reduce(own, "mean"))
    state = trainer.state
    if state.step and (state.best is None or loss < state.best):
        state.best, state.best_step = loss, state.step
    write_line(trainer, {"validation/loss": loss} | {f"validation/{k}": v for k, v in measures.items()})


def look(trainer: Trainer, source: Source) -> dict[str, float]:
    """Clips that the first process makes, as a picture in the run's folder; returns their numbers."""
    loop, shares = trainer.recipe.loop, replace(trainer.shares, processes=1)
    if loop.generation.examples == 0 or not trainer.accelerator.is_main_process:
        return {}
    made = clips_made(
        trainer.objective, source, shares, loop.seed, loop.generation, trainer.accelerator.device
    )
    if made is None:
        return {}
    picture, numbers = made
    save_figure(trainer.run, trainer.state.step, picture)
    return numbers


def is_due(trainer: Trainer, every: int) -> bool:
    """Whether something that is done every so many steps is due now."""
    return every > 0 and trainer.state.step % every == 0


def log(trainer: Trainer, report: Mapping[str, float]) -> None:
    """A line of metrics now and then, with the time that is left."""
    if trainer.state.step == 1 or is_due(trainer, trainer.recipe.loop.log_every):
        left = (trainer.recipe.loop.steps - trainer.state.step) * report["seconds"]
        write_line(trainer, dict(report) | {"seconds_left": left})


def write_line(trainer: Trainer, numbers: Mapping[str, float]) -> None:
    """Numbers as a line of `metrics.jsonl`, and to wherever else they are asked for."""
    for tracker in trainer.destinations:
        tracker.log(dict(numbers), step=trainer.state.step)
    if not trainer.accelerator.is_main_process:
        return
    with suppress(OSError), (trainer.run / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"step": trainer.state.step} | dict(numbers)) + "\n")


def drop_later_lines(path: Path, step: int) -> None:
    """Takes lines out of `metrics.jsonl` that belong to steps which will be done again."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        with suppress(ValueError):  # a line that a killed run did not finish
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
    path.write_text("".join(kept), encoding="utf-8")


def save(trainer: Trainer) -> Path | None:
    """A checkpoint, and no more of them than are to be kept. Where it cannot be written, training goes on."""
    main = trainer.accelerator.is_main_process
    if not main and not trainer.steps.in_parts:
        return trainer.run / f"checkpoint-{trainer.state.step}"
    snapshot = take_snapshot(trainer.objective, trainer.steps.memory, trainer.state)
    if not main:
        return trainer.run / f"checkpoint-{trainer.state.step}"
    try:
        path = write_checkpoint(trainer.run, trainer.objective, snapshot, trainer.state, trainer.about)
    except OutputError as error:
        kept = ", ".join(folder.name for folder in checkpoints(trainer.run).values()) or "none"
        trainer.notes.append(f"{error} Training goes on; older checkpoints are kept: {kept}.")
        trainer.accelerator.print(f"mofa: {trainer.notes[-1]}")
        return None
    prune(trainer.run, trainer.recipe.loop.keep, trainer.state.best_step)
    return path


@contextmanager
def reporting_ends(trainer: Trainer) -> Iterator[None]:
    """However the steps end, what was reported is written out."""
    try:
        yield
    finally:
        for tracker in trainer.destinations:
            tracker.finish()


@contextmanager
def stop_on_signal(trainer: Trainer) -> Iterator[None]:
    """SIGTERM ends the run after the step that is under way, with a checkpoint."""

    def ask(_: int, __: FrameType | None) -> None:
        trainer.asked_to_stop = True

    try:
        before = signal.signal(signal.SIGTERM, ask)
    except ValueError:  # not the main thread: its owner deals with signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def or_ends_run(trainer: Trainer) -> Iterator[None]:
    """Where another process of the run is gone, those that are left save what there is, and end."""
    try:
        yield
    except MofaError:
        raise
    except RuntimeError as error:
        if trainer.shares.processes == 1 or not is_lost_peer(error):
            raise
        if trainer.steps.in_parts:
            kept = list(checkpoints(trainer.run).values())
            held = f"{kept[-1]} is the last that holds the run" if kept else "no checkpoint was written yet"
            raise ResourceError(
                f"another process of this run is gone, and with it a part of what a checkpoint holds; {held}:"
                " start it again with --resume latest."
            ) from error
        snapshot = take_snapshot(trainer.objective, trainer.steps.memory, trainer.state)
        path = write_checkpoint(trainer.run, trainer.objective, snapshot, trainer.state, trainer.about)
        raise ResourceError(
            f"another process of this run is gone ({str(error).splitlines()[0][:120]}); {path} holds "
            "the run: start it again with --resume latest."
        ) from error


def is_lost_peer(error: RuntimeError) -> bool:
    """Whether a collective failed because a process is not there any more."""
    words = ("connection closed", "connection reset", "broken pipe", "nccl", "timed out", "gloo")
    return any(word in str(error).lower() for word in words)
