"""Device, dtype and memory: the only home of the word "cuda".

The door (pipeline.engine, apps) asks here once; everything below follows its inputs.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from mofa.errors import InputError, ResourceError


def pick_device(name: str | None = None) -> torch.device:
    """The device to compute on: the one asked for, else the best that is present.

    Raises ResourceError when an asked-for device is absent and InputError for a name torch does not know.
    """
    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(
            f'device "{name}" is unknown: use "cpu", "cuda", "cuda:1" or "mps".',
            key="device.unknown",
            name=name,
        ) from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ResourceError(
            f'device "{name}" was asked for, but this torch ({torch.__version__}) sees no CUDA device: '
            'use device "cpu", or install a CUDA build of torch.',
            key="device.none",
            name=name,
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ResourceError(
            f'device "{name}" was asked for, but this machine has none: use device "cpu".',
            key="device.none",
            name=name,
        )
    return device


def can_overlap(device: torch.device) -> bool:
    """Whether the device computes while weights are copied to it."""
    return device.type == "cuda"


def device_of_worker(number: int) -> str | None:
    """The device of the worker of that number, where the machine has several: one worker each, in turn."""
    count = torch.cuda.device_count()
    return f"cuda:{number % count}" if count > 1 else None


def sharing_cores(workers: int) -> ProcessPoolExecutor:
    """Processes that compute side by side, each with its share of the cores as threads."""
    threads = max(1, (os.cpu_count() or 1) // workers)
    # Spawned: a fork takes the locks of torch's threads along, and not the threads.
    return ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=torch.set_num_threads, initargs=(threads,)
    )


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """The number format asked for ("float32", "float16", "bfloat16"); "auto" is half precision on a GPU.

    Raises InputError for float16 on a CPU, which has no instructions for it.
    """
    if name == "float16" and device.type == "cpu":
        raise InputError(
            "float16 crawls on a CPU, which computes it in steps: use --precision bfloat16, which takes as "
            "little memory and runs many times faster, or float32.",
            key="device.float16",
        )
    if name == "auto":
        return torch.float32 if device.type == "cpu" else torch.float16
    return {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[name]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on any device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # The CPU allocator and numpy have no exception type of their own.
    return any(words in str(error) for words in ("can't allocate memory", "Unable to allocate"))


def free_memory(device: torch.device) -> int:
    """Bytes that a device has left; what memory has left where it computes there."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    return int(psutil.virtual_memory().available)


CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says how much a container may take: in cgroups of the second version, and of the first."""


def total_memory() -> int:
    """Bytes of main memory that there are for this process: the machine's, or its container's share."""
    import psutil

    total = int(psutil.virtual_memory().total)
    for path in map(Path, CONTAINER_LIMITS):
        with suppress(OSError, ValueError):  # no container, no limit ("max"), no Linux
            total = min(total, int(path.read_text(encoding="ascii")))
    return total


def synchronise(device: torch.device) -> None:
    """Waits until the device has done all that was asked of it; the CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def timed(run: Callable[[], Any], device: torch.device) -> float:
    """Wall seconds until the device has done all that `run` asks of it."""
    synchronise(device)
    begin = time.perf_counter()
    run()
    synchronise(device)
    return time.perf_counter() - begin


def product_rate(side: int, device: torch.device, dtype: torch.dtype, repeats: int = 1) -> float:
    """FLOP per second of square matrix products: the best of three rounds, after one that warms up."""
    a = torch.randn(side, side, device=device).to(dtype)
    b = torch.randn(side, side, device=device).to(dtype)
    product = torch.empty_like(a)

    def run() -> None:
        for _ in range(repeats):
            torch.matmul(a, b, out=product)

    timed(run, device)
    return repeats * 2 * side**3 / min(timed(run, device) for _ in range(3))


def reset_peak_memory(device: torch.device) -> None:
    """Begins a new count for `peak_memory`."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int | None:
    """The most bytes that tensors have taken since `reset_peak_memory`; None where nobody counts them."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
