"""The routes of /v1/videos: a clip is asked for, waited for, fetched, or called off."""

import asyncio
import json
import logging
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.datastructures import FormData, UploadFile

from mofa import __version__
from mofa.apps.serve.keys import Key, owner_of
from mofa.apps.serve.pool import Pool, inputs_of, preview_of
from mofa.apps.serve.store import Job, JobStore, public
from mofa.apps.serve.webhooks import Courier, check_webhook
from mofa.batch.manifest import request_fingerprint
from mofa.errors import InputError, MofaError, ResourceError, shortened, without_folders
from mofa.pipeline.memory import needed_memory
from mofa.pipeline.request import AnimationRequest, parse_scene

LOG = logging.getLogger(__name__)
LARGEST_REQUEST = 512 << 20
"""Bytes of all files of one request."""
MOST_QUEUED = 10_000
"""Jobs of all keys: a bound on the store, chosen far above what one machine makes in a day."""
RETRY_SECONDS = 30
"""What a program is told to wait when the queue is full: a clip or a few are made in it (chosen)."""
EVENT_SECONDS = 0.3
"""How often a stream looks for new."""
WORKER = 500_000_000
"""Bytes of private memory that a worker takes with torch loaded and nothing made, measured on 2 cores."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
PICTURE = "input_reference"
"""The form's field with the photo, as other servers call it."""


@dataclass(frozen=True)
class Limits:
    """How much is taken: bytes of a request, unfinished jobs of all keys together, bytes of memory that one
    worker may take (None: what there is), and the hosts that webhooks may call."""

    request_bytes: int = LARGEST_REQUEST
    queued: int = MOST_QUEUED
    memory: int | None = None
    webhooks: frozenset[str] = frozenset()


class Refused(Exception):
    """An answer that is no clip: an HTTP status and a sentence."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, dict(headers or {})


def build_app(
    home: Path,
    keys: tuple[Key, ...] = (),
    workers: int = 1,
    limits: Limits | None = None,
    ray: str | None = None,
) -> FastAPI:
    """The server, whose jobs, files and clips lie in `home`; its workers start and end with it.

    They are processes of this machine, or with `ray` replicas on the cluster at that address ("" is a Ray of
    one's own). Raises ModuleNotFoundError where that is wanted and Ray Serve is not installed.
    """
    home.mkdir(parents=True, exist_ok=True)
    store = JobStore(home / "jobs.sqlite")
    limits = limits or Limits()
    room = {key.owner: key.bytes for key in keys}
    if ray is None:
        pool = Pool(store, home, workers, limits.memory, room)
    else:
        from mofa.apps.serve.on_ray import RayPool

        pool = RayPool(store, home, workers, ray or None, room)
    courier = Courier(store, keys)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(pool.start)
        courier.start()
        yield
        await asyncio.to_thread(pool.close)
        await asyncio.to_thread(courier.close)

    app = FastAPI(title="mofa", version=__version__, lifespan=life)
    add_videos(app, Desk(home, store, keys, limits), pool)
    return app


def add_videos(app: FastAPI, desk: "Desk", pool: Pool) -> None:
    """All that programs may ask of a server, beside whatever else it does."""
    add_routes(app, desk)
    add_state_routes(app, desk.store, pool)

    @app.exception_handler(Refused)
    async def refuse(_: Request, error: Refused) -> JSONResponse:
        return JSONResponse({"error": {"message": error.sentence}}, error.status, error.headers)


@dataclass(frozen=True)
class Desk:
    """Takes requests in: checks who asks and how much, reads what came, queues it."""

    home: Path
    store: JobStore
    keys: tuple[Key, ...]
    limits: Limits

    def key(self, request: Request) -> Key:
        """Who asks. Raises Refused."""
        key = owner_of(request.headers.get("authorization", ""), self.keys)
        if key is None:
            raise Refused(401, "unauthorized")
        return key

    def job(self, request: Request, name: str) -> Job:
        """The asker's job of that id. Raises Refused."""
        job = self.store.find(self.key(request).owner, name)
        if job is None:
            raise Refused(404, f"there is no video {name}.")
        return job

    def remove(self, job: Job) -> None:
        """Forgets an ended job, and its clip where no other job has lent it."""
        clip = self.store.forget(job.owner, job.id)
        if clip is not None:
            clip.unlink(missing_ok=True)

    def check_room(self, key: Key) -> None:
        """Raises Refused where the queue, or the key's share of it, is full."""
        later = {"Retry-After": str(RETRY_SECONDS)}
        if self.keys and self.store.unfinished(key.owner) >= key.quota:
            raise Refused(429, f"{key.quota} videos of yours are unfinished: wait for one.", later)
        if self.store.unfinished() >= self.limits.queued:
            raise Refused(429, "the queue is full: try again later.", later)

    async def take(self, request: Request, name: str) -> Job:
        """Queues what a request brings, under that id. Raises Refused."""
        key = self.key(request)
        if (known := self.store.find(key.owner, name)) is not None:
            return known
        self.check_room(key)
        if int(request.headers.get("content-length") or 0) > self.limits.request_bytes:
            raise Refused(413, f"a request may bring {self.limits.request_bytes >> 20} MB.")
        folder = inputs_of(self.home, key.owner, name)
        try:
            async with request.form(max_files=64) as form:
                webhook = form.get("webhook")
                if isinstance(webhook, str):
                    check_webhook(webhook, key, self.limits.webhooks)
                asked = await asyncio.to_thread(self._read, form, folder)
            await asyncio.to_thread(self._check_memory, asked)
            fingerprint = await asyncio.to_thread(request_fingerprint, asked)
            called = webhook if isinstance(webhook, str) else None
            job = await asyncio.to_thread(
                self.store.add, name, key.owner, fingerprint, asked.to_data(), called
            )
        except (MofaError, OSError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise Refused(422, shortened(without_folders(str(error)))) from None
        if job.owner != key.owner:
            shutil.rmtree(folder, ignore_errors=True)
            raise Refused(409, f"the id {name} is taken: choose another.")
        if job.has_ended:  # a finished twin has lent its clip
            shutil.rmtree(folder, ignore_errors=True)
        return job

    def _check_memory(self, asked: AnimationRequest) -> None:
        """Raises ResourceError for a clip that one worker could not make."""
        if self.limits.memory is None:
            return
        needed, most = needed_memory(asked) + WORKER, self.limits.memory
        if needed > most:
            raise ResourceError(
                f"this would take about {needed / 1e9:.1f} GB of memory, and a worker here has "
                f"{most / 1e9:.1f} GB: ask for a smaller size, a smaller photo or fewer masks and videos."
            )

    def _read(self, form: FormData, folder: Path) -> AnimationRequest:
        """The scene of a form, its files stored in `folder` under numbers. Raises InputError."""
        folder.mkdir(parents=True, exist_ok=True)
        stored: dict[str, Path] = {}
        left = self.limits.request_bytes
        for number, (field, value) in enumerate(form.multi_items()):
            if not isinstance(value, UploadFile):
                continue
            path = folder / f"{number}{Path(value.filename or '').suffix[:10]}"
            with path.open("wb") as file:
                while block := value.file.read(1 << 20):
                    left -= len(block)
                    if left < 0:
                        raise InputError(f"a request may bring {self.limits.request_bytes >> 20} MB.")
                    file.write(block)
            stored[field if field == PICTURE else value.filename or field] = path
        scene = form.get("scene")
        if not isinstance(scene, str):
            raise InputError("the field scene is missing: send the scene as JSON, see docs/scene.md.")
        return self._scene(scene, stored)

    @staticmethod
    def _scene(text: str, stored: Mapping[str, Path]) -> AnimationRequest:
        """The scene with every name replaced by the uploaded file's path. Raises InputError."""
        data = parse_scene(text, "scene")
        if isinstance(data, dict):
            data.pop("outputs", None)
            if PICTURE in stored:
                data["picture"] = PICTURE
        request = AnimationRequest.from_data(data)

        def uploaded(path: Path) -> Path:
            if str(path) not in stored:
                raise InputError(f'the scene names "{path}", which was not sent: send a file of that name.')
            return stored[str(path)].resolve()

        named = request.with_paths(uploaded)
        outputs = named.outputs.model_copy(update={"extras": ()})
        return named.model_copy(update={"outputs": outputs})


def add_routes(app: FastAPI, desk: Desk) -> None:
    """What an asker can do."""

    @app.post("/v1/videos", status_code=202)
    async def create(request: Request) -> dict[str, Any]:
        """Queues a clip: multipart with `input_reference` (the photo), `scene` (JSON), and files by name."""
        return public(await desk.take(request, f"video_{secrets.token_hex(12)}"))

    @app.put("/v1/videos/{name}", status_code=202)
    async def put(request: Request, name: str) -> dict[str, Any]:
        """The same under an id of the caller's own: asking twice makes one clip."""
        if not NAME.fullmatch(name):
            raise Refused(422, "an id is of letters, digits, and _ . - inside, at most 64.")
        return public(await desk.take(request, name))

    @app.get("/v1/videos")
    def index(request: Request, limit: int = 20, after: str | None = None) -> dict[str, Any]:
        """The caller's clips, the newest first, `limit` (1..100) at a time."""
        found = desk.store.page(desk.key(request).owner, after, min(max(limit, 1), 100) + 1)
        shown = found[: min(max(limit, 1), 100)]
        return {"object": "list", "data": [public(job) for job in shown], "has_more": len(found) > len(shown)}

    @app.get("/v1/videos/{name}")
    def show(request: Request, name: str) -> dict[str, Any]:
        """How far a clip is: queued, in_progress, completed, failed or cancelled."""
        return public(desk.job(request, name))

    @app.get("/v1/videos/{name}/content")
    def content(request: Request, name: str) -> Response:
        """The clip, by ranges where they are asked for."""
        job = desk.job(request, name)
        if job.state != "completed" or job.result is None or not Path(job.result).is_file():
            raise Refused(
                409, f"the video {name} is {job.state.replace('_', ' ')}: there is no clip to fetch."
            )
        return FileResponse(job.result, media_type="video/mp4", filename=f"{name}.mp4")

    @app.get("/v1/videos/{name}/preview")
    def preview(request: Request, name: str) -> Response:
        """A few frames of the clip as JPEG while it is denoised, where the small decoder's weights are."""
        picture = preview_of(desk.home, desk.job(request, name).id)
        try:
            return Response(picture.read_bytes(), 200, {"Cache-Control": "no-store"}, "image/jpeg")
        except FileNotFoundError:
            raise Refused(404, f"there is no preview of {name} now.") from None

    @app.get("/v1/videos/{name}/events")
    def events(request: Request, name: str) -> Response:
        """Server-sent events until the clip's end; Last-Event-ID takes a broken stream up where it was."""
        job = desk.job(request, name)
        seen = request.headers.get("last-event-id", "0")
        stream = follow(desk.store, desk.key(request).owner, job.id, int(seen) if seen.isdecimal() else 0)
        return StreamingResponse(stream, media_type="text/event-stream")

    @app.delete("/v1/videos/{name}")
    def delete(request: Request, name: str) -> dict[str, Any]:
        """Calls a clip off: at once while it waits, at its next step while it is made. One that has ended
        is removed, with its clip."""
        job = desk.job(request, name)
        if job.has_ended:
            desk.remove(job)
            return public(job) | {"deleted": True}
        return public(desk.store.cancel(job.owner, job.id) or job)


async def follow(store: JobStore, owner: str, name: str, seen: int) -> AsyncIterator[str]:
    """A job's events after the one numbered `seen`, until its end."""
    while True:
        new = await asyncio.to_thread(store.events, name, seen)
        for number, data in new:
            seen = number
            yield f"id: {number}\nevent: {json.loads(data)['status']}\ndata: {data}\n\n"
        job = await asyncio.to_thread(store.find, owner, name)
        if job is None or (job.has_ended and not await asyncio.to_thread(store.events, name, seen)):
            return
        await asyncio.sleep(EVENT_SECONDS)


def add_state_routes(app: FastAPI, store: JobStore, pool: Pool) -> None:
    """What a load balancer and a monitor ask; no key is needed, and no job is told."""

    @app.get("/healthz")
    def healthy() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    @app.get("/readyz")
    def ready() -> Response:
        """Whether jobs are being made."""
        return JSONResponse(
            {"status": "ok" if pool.is_alive else "no workers"}, 200 if pool.is_alive else 503
        )

    @app.get("/metrics")
    def metrics() -> PlainTextResponse:
        """Jobs by state, in Prometheus' text format."""
        lines = ["# HELP mofa_jobs Jobs by state.", "# TYPE mofa_jobs gauge"]
        lines += [f'mofa_jobs{{state="{state}"}} {count}' for state, count in store.counts().items()]
        return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")
