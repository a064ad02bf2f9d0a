"""Jobs that outlive the server: one SQLite file in WAL mode, which is the truth about every job.

A job that was being made when the server was killed is queued again; what a worker had finished by then is
found by its record and not made twice.
"""

import json
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

State = Literal["queued", "in_progress", "completed", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("completed", "failed", "cancelled")
MOST_ATTEMPTS = 2
"""A job whose worker died so often has failed."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, owner TEXT NOT NULL,
  fingerprint TEXT NOT NULL, request TEXT NOT NULL, state TEXT NOT NULL, stage TEXT NOT NULL DEFAULT '',
  done INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL DEFAULT 0, error TEXT, result TEXT,
  attempts INTEGER NOT NULL DEFAULT 0, cancel INTEGER NOT NULL DEFAULT 0,
  created REAL NOT NULL, started REAL, finished REAL, webhook TEXT, size INTEGER NOT NULL DEFAULT 0,
  member TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS by_state ON jobs (state, owner, number);
CREATE INDEX IF NOT EXISTS by_fingerprint ON jobs (fingerprint, state);
CREATE TABLE IF NOT EXISTS events (
  job TEXT NOT NULL, number INTEGER NOT NULL, data TEXT NOT NULL, PRIMARY KEY (job, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS turns (owner TEXT PRIMARY KEY, turn INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS deliveries (
  number INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, url TEXT NOT NULL, body TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL);
"""
ADDED = {
    "webhook": "TEXT",
    "size": "INTEGER NOT NULL DEFAULT 0",
    "member": "TEXT NOT NULL DEFAULT ''",
}
"""Columns that stores of earlier versions have not."""


@dataclass(frozen=True)
class Job:
    """One clip that somebody asked for. Times are seconds since 1970; `result` is the clip's file and `size`
    its bytes; `webhook` is the address to be called when the job has ended. `member` is who asked of
    several that share an owner's turns."""

    number: int
    id: str
    owner: str
    fingerprint: str
    request: Mapping[str, Any]
    state: State
    stage: str
    done: int
    total: int
    error: str | None
    result: str | None
    attempts: int
    cancel: bool
    created: float
    started: float | None
    finished: float | None
    webhook: str | None = None
    size: int = 0
    member: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.state in ENDED


@dataclass(frozen=True)
class Delivery:
    """A webhook that has not arrived yet: what to say to which address, signed for its owner."""

    number: int
    owner: str
    url: str
    body: str
    attempts: int


class JobStore:
    """The jobs in a file. Every thread has a connection of its own; every change is one transaction."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._own = threading.local()
        self.changed = threading.Condition()
        """Notified when a job is queued or asked to stop."""
        with self._change() as database:
            database.executescript(SCHEMA)
            columns = {row["name"] for row in database.execute("PRAGMA table_info(jobs)")}
            for name, kind in ADDED.items():
                if name not in columns:
                    database.execute(f"ALTER TABLE jobs ADD COLUMN {name} {kind}")

    def add(
        self,
        name: str,
        owner: str,
        fingerprint: str,
        request: Mapping[str, Any],
        webhook: str | None = None,
        member: str = "",
    ) -> Job:
        """Queues a job; one of that id that is there already is returned as it is, for asking twice is safe.

        A finished job with the same fingerprint lends its result: the same request is not made again.
        """
        with self._change() as database:
            known = database.execute("SELECT * FROM jobs WHERE id = ?", (name,)).fetchone()
            if known is not None:
                return _job(known)
            twin = database.execute(
                "SELECT result, size FROM jobs WHERE fingerprint = ? AND state = 'completed' LIMIT 1",
                (fingerprint,),
            ).fetchone()
            result = twin["result"] if twin is not None and Path(twin["result"]).is_file() else None
            state = "queued" if result is None else "completed"
            now = time.time()
            row = {
                "id": name,
                "owner": owner,
                "fingerprint": fingerprint,
                "request": json.dumps(request),
                "state": state,
                "result": result,
                "size": 0 if result is None else twin["size"],
                "created": now,
                "finished": None if result is None else now,
                "webhook": webhook,
                "member": member,
            }
            columns = ", ".join(row)
            places = ", ".join(f":{column}" for column in row)
            database.execute(f"INSERT INTO jobs ({columns}) VALUES ({places})", row)
            _record_event(database, name)
            job = _job(database.execute("SELECT * FROM jobs WHERE id = ?", (name,)).fetchone())
        self._notify()
        return job

    def find(self, owner: str, name: str) -> Job | None:
        """The job of that id, if it is this owner's."""
        row = self._read("SELECT * FROM jobs WHERE id = ? AND owner = ?", (name, owner)).fetchone()
        return None if row is None else _job(row)

    def page(self, owner: str, after: str | None, limit: int) -> list[Job]:
        """An owner's jobs, the newest first, from the one after `after` on."""
        rows = self._read(
            "SELECT * FROM jobs WHERE owner = :owner AND (:after IS NULL OR number < "
            "(SELECT number FROM jobs WHERE id = :after AND owner = :owner)) "
            "ORDER BY number DESC LIMIT :limit",
            {"owner": owner, "after": after, "limit": limit},
        )
        return [_job(row) for row in rows]

    def unfinished(self, owner: str | None = None) -> int:
        """How many jobs wait or are being made, of one owner or of all."""
        query = "SELECT COUNT(*) FROM jobs WHERE state IN ('queued', 'in_progress')"
        if owner is None:
            return int(self._read(query, ()).fetchone()[0])
        return int(self._read(f"{query} AND owner = ?", (owner,)).fetchone()[0])

    def counts(self) -> dict[str, int]:
        """How many jobs there are in every state."""
        rows = self._read("SELECT state, COUNT(*) FROM jobs GROUP BY state", ())
        return dict.fromkeys(get_args(State), 0) | {row[0]: row[1] for row in rows}

    def take(self) -> Job | None:
        """The next job, now being made: the oldest of the owner whose last turn is longest ago, and of that
        owner's members, where there are any, of the one whose is."""
        with self._change() as database:
            row = database.execute(
                "SELECT jobs.* FROM jobs LEFT JOIN turns USING (owner) "
                "LEFT JOIN turns AS own ON own.owner = jobs.owner || '/' || jobs.member "
                "WHERE state = 'queued' "
                "ORDER BY COALESCE(turns.turn, 0), COALESCE(own.turn, 0), number LIMIT 1"
            ).fetchone()
            if row is None:
                return None
            for turn_of in turns_of(row["owner"], row["member"]):
                database.execute(
                    "INSERT INTO turns SELECT ?, COALESCE(MAX(turn), 0) + 1 FROM turns WHERE TRUE "
                    "ON CONFLICT (owner) DO UPDATE SET turn = excluded.turn",
                    (turn_of,),
                )
            database.execute(
                "UPDATE jobs SET state = 'in_progress', started = ?, attempts = attempts + 1 WHERE id = ?",
                (time.time(), row["id"]),
            )
            _record_event(database, row["id"])
            return _job(database.execute("SELECT * FROM jobs WHERE id = ?", (row["id"],)).fetchone())

    def ahead(self, name: str) -> int:
        """How many jobs begin before this one does, or have begun and not ended; 0 for one that has."""
        queued = self._read(
            "SELECT id, owner, member FROM jobs WHERE state = 'queued' ORDER BY number", ()
        ).fetchall()
        turns = {row["owner"]: row["turn"] for row in self._read("SELECT owner, turn FROM turns", ())}
        latest = max(turns.values(), default=0)
        lines: dict[tuple[str, str], deque[str]] = {}
        for row in queued:
            lines.setdefault((row["owner"], row["member"]), deque()).append(row["id"])
        for before in range(len(queued)):
            line = min(lines, key=lambda line: [turns.get(key, 0) for key in (line[0], "/".join(line))])
            if lines[line].popleft() == name:
                return before + len(self.in_progress())
            if not lines[line]:
                del lines[line]
            latest += 1
            turns |= dict.fromkeys(turns_of(*line), latest)
        return 0

    def report(self, name: str, stage: str, done: int, total: int) -> None:
        """How far a job is."""
        with self._change() as database:
            database.execute(
                "UPDATE jobs SET stage = ?, done = ?, total = ? WHERE id = ? AND state = 'in_progress'",
                (stage, done, total, name),
            )
            _record_event(database, name)

    def end(
        self, name: str, state: State, error: str | None = None, result: Path | None = None, size: int = 0
    ) -> None:
        """A job's end, once and for all."""
        with self._change() as database:
            changed = database.execute(
                "UPDATE jobs SET state = ?, error = ?, result = ?, size = ?, finished = ? WHERE id = ? "
                "AND state NOT IN ('completed', 'failed', 'cancelled')",
                (state, error, None if result is None else str(result), size, time.time(), name),
            )
            if changed.rowcount:
                _record_event(database, name)

    def forget(self, owner: str, name: str) -> Path | None:
        """Removes an ended job; returns its clip's file, to be removed, where no other job has it."""
        with self._change() as database:
            row = database.execute(
                "DELETE FROM jobs WHERE id = ? AND owner = ? "
                "AND state IN ('completed', 'failed', 'cancelled') RETURNING result",
                (name, owner),
            ).fetchone()
            if row is None or row["result"] is None:
                return None
            database.execute("DELETE FROM events WHERE job = ?", (name,))
            shared = database.execute("SELECT 1 FROM jobs WHERE result = ?", (row["result"],)).fetchone()
            return None if shared else Path(row["result"])

    def forget_members(self) -> None:
        """Removes every job that a member asked for: only the process that took it knows what it is."""
        with self._change() as database:
            database.execute("DELETE FROM events WHERE job IN (SELECT id FROM jobs WHERE member != '')")
            database.execute("DELETE FROM jobs WHERE member != ''")

    def bytes_of(self, owner: str) -> int:
        """What an owner's clips take on the disk."""
        query = "SELECT COALESCE(SUM(size), 0) FROM jobs WHERE owner = ? AND state = 'completed'"
        return int(self._read(query, (owner,)).fetchone()[0])

    def again(self, name: str) -> None:
        """Back into the queue, in its old place."""
        with self._change() as database:
            database.execute("UPDATE jobs SET state = 'queued', stage = '', done = 0 WHERE id = ?", (name,))
            _record_event(database, name)
        self._notify()

    def cancel(self, owner: str, name: str) -> Job | None:
        """Asks a job to stop: at once where it waits, at its next step where it is being made."""
        with self._change() as database:
            known = (name, owner)
            changed = database.execute(
                "UPDATE jobs SET cancel = 1 "
                "WHERE id = ? AND owner = ? AND state IN ('queued', 'in_progress')",
                known,
            )
            database.execute(
                "UPDATE jobs SET state = 'cancelled', finished = ? "
                "WHERE id = ? AND owner = ? AND state = 'queued'",
                (time.time(), *known),
            )
            if changed.rowcount:
                _record_event(database, name)
        self._notify()
        return self.find(owner, name)

    def is_cancelled(self, name: str) -> bool:
        """Whether somebody asked it to stop."""
        row = self._read("SELECT cancel FROM jobs WHERE id = ?", (name,)).fetchone()
        return bool(row and row["cancel"])

    def in_progress(self) -> list[Job]:
        """What is being made, or was when the server was killed."""
        return [_job(row) for row in self._read("SELECT * FROM jobs WHERE state = 'in_progress'", ())]

    def events(self, name: str, after: int) -> list[tuple[int, str]]:
        """What has happened to a job since event `after`: numbers from 1 on, and JSON."""
        query = "SELECT number, data FROM events WHERE job = ? AND number > ? ORDER BY number"
        return [(row["number"], row["data"]) for row in self._read(query, (name, after))]

    def deliveries(self, now: float) -> list[Delivery]:
        """Webhooks whose time has come, the oldest first."""
        query = "SELECT number, owner, url, body, attempts FROM deliveries WHERE due <= ? ORDER BY number"
        return [Delivery(**dict(row)) for row in self._read(query, (now,))]

    def delivered(self, number: int) -> None:
        """Forgets a webhook that has arrived, or never will."""
        with self._change() as database:
            database.execute("DELETE FROM deliveries WHERE number = ?", (number,))

    def postpone(self, number: int, due: float) -> None:
        """Tries a webhook again at that time."""
        with self._change() as database:
            database.execute(
                "UPDATE deliveries SET attempts = attempts + 1, due = ? WHERE number = ?", (due, number)
            )

    def _read(self, query: str, values: Sequence[Any] | Mapping[str, Any]) -> sqlite3.Cursor:
        return self._connection().execute(query, values)

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        database = self._connection()
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
        except BaseException:
            database.rollback()
            raise
        database.commit()

    def _connection(self) -> sqlite3.Connection:
        if not hasattr(self._own, "database"):
            database = sqlite3.connect(self._file, timeout=30, isolation_level=None)
            database.row_factory = sqlite3.Row
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            self._own.database = database
        connection: sqlite3.Connection = self._own.database
        return connection

    def _notify(self) -> None:
        with self.changed:
            self.changed.notify_all()


def turns_of(owner: str, member: str) -> list[str]:
    """Whose turn it is when a job is taken."""
    return [owner, f"{owner}/{member}"] if member else [owner]


def _job(row: sqlite3.Row) -> Job:
    data = dict(row)
    return Job(**data | {"request": json.loads(data["request"]), "cancel": bool(data["cancel"])})


def _record_event(database: sqlite3.Connection, name: str) -> None:
    """Adds an event that says how the job is now, and its webhook once it has ended."""
    row = database.execute("SELECT * FROM jobs WHERE id = ?", (name,)).fetchone()
    number = database.execute(
        "SELECT COALESCE(MAX(number), 0) + 1 FROM events WHERE job = ?", (name,)
    ).fetchone()
    job = _job(row)
    data = json.dumps(public(job))
    database.execute("INSERT INTO events VALUES (?, ?, ?)", (name, number[0], data))
    if job.has_ended and job.webhook is not None:
        body = json.dumps({"type": f"video.{job.state}", "created_at": int(time.time()), "data": public(job)})
        database.execute(
            "INSERT INTO deliveries (owner, url, body, due) VALUES (?, ?, ?, ?)",
            (job.owner, job.webhook, body, time.time()),
        )


def public(job: Job) -> dict[str, Any]:
    """What its owner is told about a job."""
    progress = 100 if job.state == "completed" else int(100 * job.done / job.total) if job.total else 0
    return {
        "id": job.id,
        "object": "video",
        "status": job.state,
        "progress": progress,
        "stage": job.stage,
        "error": job.error,
        "created_at": int(job.created),
        "started_at": None if job.started is None else int(job.started),
        "completed_at": None if job.finished is None else int(job.finished),
    }
