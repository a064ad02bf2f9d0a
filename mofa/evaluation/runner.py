"""Runs a suite: every scene once, in as many processes as asked, and again only what is not there yet.

A scene that cannot be judged costs its own row and nothing else: it is named, with the sentence that says
why.
"""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa import __version__
from mofa.devices import sharing_cores
from mofa.errors import InputError, MofaError
from mofa.evaluation.judge import MEASURES, judge
from mofa.evaluation.makers import Maker
from mofa.evaluation.measures.distributions import FEWEST, frechet_distance
from mofa.evaluation.results import Column, Results, SceneResult, scene_from
from mofa.evaluation.scene import Scene, Suite
from mofa.evaluation.trackers import Tracker
from mofa.evaluation.trial import Instruments
from mofa.media.encode import write_clip
from mofa.media.files import replacing
from mofa.types import Clip, Progress, TrackSet, silent

DIED = "the process that made this clip was killed, by the system for want of memory or by somebody"


@dataclass(frozen=True)
class Job:
    """Everything that a worker needs for any scene of a run."""

    suite: Suite
    maker: Maker
    instruments: Instruments
    folder: Path

    def clip_path(self, name: str) -> Path:
        """Where the clip of a scene is kept."""
        return self.folder / "clips" / f"{name}.mp4"

    def truth_path(self, name: str) -> Path:
        """Where a copy of the true clip of a scene is kept, if it has one, to be shown beside it."""
        return self.folder / "clips" / f"{name}.true.mp4"

    def row_path(self, name: str) -> Path:
        """Where a scene's result is kept."""
        return self.folder / "scenes" / f"{name}.json"

    def features_path(self, reader: str, name: str) -> Path:
        """Where a reader's features of a scene's clip are kept."""
        return self.folder / "scenes" / f"{name}.{reader}.npz"

    def fingerprint(self, name: str) -> str:
        """Changes when the scene's result would: suite, maker, instruments, program."""
        parts = (
            repr(self.suite),
            name,
            self.maker.fingerprint(name),
            repr(described(self.instruments)),
            __version__,
        )
        return sha256("\n".join(parts).encode()).hexdigest()


def run_suite(
    job: Job, name: str, limit: int | None = None, workers: int = 1, progress: Progress = silent
) -> Results:
    """All scenes of a suite, or the first `limit`, judged; `name` is the suite's.

    What an earlier, interrupted run with the same settings has judged is taken from the folder. Raises
    InputError when the suite's data are absent.
    """
    names = list(job.suite.names())[:limit]
    if not names:
        raise InputError(f"the suite {name} has no scenes: check its data.")
    rows: dict[str, SceneResult] = {}
    missing = []
    for scene in names:
        row = kept_row(job, scene)
        if row is None:
            missing.append(scene)
        else:
            rows[scene] = row
    progress("scenes", len(rows), len(names))
    for row in judged(job, missing, workers):
        rows[row.name] = row
        progress("scenes", len(rows), len(names))
    return Results(
        suite=name,
        title=job.suite.title,
        made_by=dict(job.maker.describe()),
        instruments=described(job.instruments),
        columns=columns_of(job.instruments),
        scenes=[rows[scene] for scene in names],
        sets=set_distances(job, [name for name in names if rows[name].error is None]),
    )


def set_distances(job: Job, names: Sequence[str]) -> dict[str, float]:
    """Fréchet distances of all clips together from all true clips, by title; none where there is no truth."""
    found = {}
    for reader in job.instruments.readers:
        kept = [path for name in names if (path := job.features_path(reader.name, name)).exists()]
        if not reader.set_title or len(kept) < 2:
            continue
        made, true = (torch.cat(parts) for parts in zip(*(load_features(path) for path in kept), strict=True))
        if len(made) >= FEWEST:
            found[reader.set_title] = frechet_distance(made, true)
    return found


def load_features(path: Path) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N D"]]:
    """The features of a clip and of its true clip."""
    with np.load(path, allow_pickle=False) as arrays:
        return torch.from_numpy(arrays["made"]), torch.from_numpy(arrays["true"])


def described(instruments: Instruments) -> dict[str, str]:
    """What clips were read with, and under which terms."""
    tracker = instruments.tracker
    readers = {reader.name: f"picture network, {reader.terms}" for reader in instruments.readers}
    if instruments.identity is not None:
        readers[instruments.identity.name] = f"face network, {instruments.identity.terms}"
    return {
        tracker.name: f"tracker, {precision(tracker)}, {tracker.terms}",
        instruments.flow_name: "optical flow",
        **readers,
    }


def precision(tracker: Tracker) -> str:
    """How well a tracker reads, in words."""
    if tracker.error_px is None:
        return "its error not measured here"
    mean, high = tracker.error_px
    return f"{mean:g} px off on average and {high:g} px in 95 %"


def columns_of(instruments: Instruments) -> dict[str, Column]:
    """Every measure as a column."""
    own = {
        measure.key(instruments): Column(
            measure.title, measure.unit, measure.goal, measure.definition, instruments.names(measure.by)
        )
        for measure in MEASURES
    }
    for reader in instruments.readers:
        own |= reader.columns
    return own


def kept_row(job: Job, name: str) -> SceneResult | None:
    """The result of an earlier run, if it is whole and still holds."""
    try:
        data = json.loads(job.row_path(name).read_text(encoding="utf-8"))
        return scene_from(data["result"]) if data["fingerprint"] == job.fingerprint(name) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def judged(job: Job, names: list[str], workers: int) -> Iterator[SceneResult]:
    """Results in the order in which they are finished. A process that dies takes no other scene with it:
    what was unfinished then is tried again, each scene in a process of its own."""
    if workers <= 1 or len(names) <= 1:
        for name in names:
            yield judge_scene(job, name)
        return
    left = list(names)
    try:
        for row in pooled(job, names, workers):
            left.remove(row.name)
            yield row
    except BrokenProcessPool:
        for name in left:
            try:
                yield next(pooled(job, [name], 1))
            except BrokenProcessPool:
                yield SceneResult(name, error=DIED)


def pooled(job: Job, names: list[str], workers: int) -> Iterator[SceneResult]:
    """Scenes judged in worker processes that share the cores."""
    with sharing_cores(workers) as pool:
        futures = [pool.submit(judge_scene, job, name) for name in names]
        for future in as_completed(futures):
            yield future.result()


def judge_scene(job: Job, name: str) -> SceneResult:
    """Makes and judges one clip, and keeps the result. A failure is a result, too, but is not kept."""
    try:
        return made_and_judged(job, name)
    except MofaError as error:
        return SceneResult(name, error=str(error))
    except Exception as error:  # one broken clip among hundreds must not end the run
        return SceneResult(name, error=f"it could not be judged ({type(error).__name__}: {error}).")


def made_and_judged(job: Job, name: str) -> SceneResult:
    """Raises whatever goes wrong."""
    scene = job.suite.open(name)
    job.clip_path(name).parent.mkdir(parents=True, exist_ok=True)
    frames = job.maker.make(scene, job.clip_path(name))
    reading = judge(scene, frames, job.instruments)
    height, width = scene.picture.shape[1:]
    row = SceneResult(
        name,
        values=dict(reading.values),
        epe_per_frame=reading.epe_per_frame,
        asked=as_lists(scene.hints),
        tracked=as_lists(reading.tracked),
        size=(width, height),
    )
    if scene.reference is not None:
        write_clip(Clip(scene.reference, scene.fps), job.truth_path(name), overwrite=True)
    keep_features(job, scene, frames)
    keep_row(job, row)
    return row


def keep_features(job: Job, scene: Scene, frames: UInt8[Tensor, "T 3 H W"]) -> None:
    """What distances of sets need of a clip that has a true one."""
    for reader in job.instruments.readers:
        if reader.set_title and scene.reference is not None:
            made, true = reader.features(frames), reader.features(scene.reference)
            with replacing(job.features_path(reader.name, scene.name), overwrite=True) as hidden:
                np.savez(hidden, made=made.numpy(), true=true.numpy())


def keep_row(job: Job, row: SceneResult) -> None:
    """For a run that goes on after an interruption."""
    data = {"fingerprint": job.fingerprint(row.name), "result": asdict(row)}
    with replacing(job.row_path(row.name), overwrite=True) as hidden:
        hidden.write_text(json.dumps(data), encoding="utf-8")


def as_lists(tracks: TrackSet) -> list[list[list[float] | None]]:
    """Tracks [N][T][2] in hundredths of a pixel, None where a point is not seen."""
    return [
        [[round(x, 2), round(y, 2)] if seen else None for (x, y), seen in zip(way, shown, strict=True)]
        for way, shown in zip(tracks.points.tolist(), tracks.visible.tolist(), strict=True)
    ]
