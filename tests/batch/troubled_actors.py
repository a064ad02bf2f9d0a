"""Actors with troubles, in a module that Ray's processes can import."""

import os

from mofa.batch import on_ray
from mofa.batch.manifest import Entry
from mofa.batch.workers import Task, entry_of


class Troubled(on_ray.Maker):
    """Dies of one scene; its device fails at another."""

    def make(self, task: Task) -> tuple[Entry, bool]:
        if task.name == "deadly":
            os._exit(9)
        if task.name == "poisonous":
            return entry_of(task, "failed", 0.0, error=f"the device of process {os.getpid()} failed."), True
        entry, broken = super().make(task)
        (task.output.parent / f"{task.name}.process").write_text(str(os.getpid()))
        return entry, broken


class Stranger(on_ray.Maker):
    """Runs where another version of mofa is installed."""

    def version(self) -> str:
        return "0.0.1"
