"""What an evaluation found, as data: results.json, which later runs are compared with."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mofa.errors import InputError
from mofa.evaluation.statistics import Interval, bootstrap_mean
from mofa.media.files import replacing

FORMAT = 1
"""Of the results file; raised when an older reader would misread it."""


@dataclass(frozen=True)
class Column:
    """A measure as reports show it: title, unit, which values are better, its definition, what read it."""

    title: str
    unit: str
    goal: str
    definition: str
    instrument: str = ""


@dataclass(frozen=True)
class SceneResult:
    """One scene: its values by column, or the sentence that says why it has none.

    `epe_per_frame` is the mean error of the hints in every frame, `asked` and `tracked` their ways [N][T][2]
    in pixels of `size` (width, height); a place that the tracker lost is None.
    """

    name: str
    values: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    epe_per_frame: Sequence[float | None] = ()
    asked: Sequence[Any] = ()
    tracked: Sequence[Any] = ()
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Results:
    """A finished evaluation. Nothing in it depends on when or how fast it ran."""

    suite: str
    title: str
    made_by: Mapping[str, Any]
    instruments: Mapping[str, str]
    columns: Mapping[str, Column]
    scenes: Sequence[SceneResult]
    sets: Mapping[str, float] = field(default_factory=dict)

    @property
    def judged(self) -> list[SceneResult]:
        """The scenes that have values."""
        return [scene for scene in self.scenes if scene.error is None]

    @property
    def skipped(self) -> list[SceneResult]:
        """The scenes that could not be judged."""
        return [scene for scene in self.scenes if scene.error is not None]

    def values(self, column: str) -> dict[str, float]:
        """Scene -> value, of the scenes that have one."""
        return {scene.name: scene.values[column] for scene in self.judged if column in scene.values}

    def mean(self, column: str) -> Interval:
        """Mean over scenes with its bootstrap interval."""
        return bootstrap_mean(list(self.values(column).values()))

    @property
    def used_columns(self) -> dict[str, Column]:
        """The columns that any scene has a value in, in their order."""
        return {key: column for key, column in self.columns.items() if self.values(key)}


def write_results(results: Results, path: Path) -> None:
    """As JSON; the same results give the same bytes."""
    data = {"format": FORMAT, **asdict(results)}
    data["summary"] = {key: asdict(results.mean(key)) for key in results.used_columns}
    with replacing(path, overwrite=True) as hidden:
        hidden.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_results(path: Path) -> Results:
    """From results.json, or from the folder of a report. Raises InputError."""
    file = path / "results.json" if path.is_dir() else path
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise InputError(f"{file} was written by another version of mofa: run `mofa eval` again.")
        return Results(
            suite=data["suite"],
            title=data["title"],
            made_by=data["made_by"],
            instruments=data["instruments"],
            columns={key: Column(**column) for key, column in data["columns"].items()},
            scenes=[scene_from(scene) for scene in data["scenes"]],
            sets=data["sets"],
        )
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}): give the folder of a report.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{file} is no results of `mofa eval`: give the folder of a report.") from None


def scene_from(data: Mapping[str, Any]) -> SceneResult:
    """A scene's result from plain data."""
    return SceneResult(**{**data, "size": tuple(data["size"])})
