"""What the page asks of the server. Every answer is about the visitor whose cookie came with the question."""

import asyncio
import io
import secrets
from concurrent.futures import wait
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
from fastapi import APIRouter, Body, Cookie, Depends, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from mofa.apps.examples import example, example_names
from mofa.apps.serve.keys import Key
from mofa.apps.serve.pool import Pool
from mofa.apps.studio import making
from mofa.apps.studio.budget import Budget
from mofa.apps.studio.callers import Callers
from mofa.apps.studio.house import HouseQueue, open_store, passing_folder
from mofa.apps.studio.jobs import FairQueue, Job, Work, problem
from mofa.apps.studio.problems import PROBLEMS
from mofa.apps.studio.quota import Quota
from mofa.apps.studio.scenes import (
    KEPT,
    adopt_files,
    pack_scene,
    packed_bytes,
    read_document,
    request_from_scene,
    save_document,
    scene_from_request,
    unknown_scene,
    unpack_scene,
)
from mofa.apps.studio.settings_form import missing_weights, needed_weights, settings_form
from mofa.apps.studio.shares import SHARED, Shares
from mofa.apps.studio.texts import TEXTS, example_title
from mofa.apps.studio.uploads import KINDS, check_upload, new_name, receive
from mofa.apps.studio.visitors import KEEP_SECONDS, Visitor, Visitors, new_token
from mofa.errors import Cancelled, InputError
from mofa.faces.landmark_files import read_face_points
from mofa.media.image import picture_size
from mofa.pipeline.memory import needed_memory
from mofa.pipeline.request import AnimationRequest
from mofa.weights.download import download

COOKIE = "mofa_visitor"
OFFERED = "offered-"
"""What the names of scenes begin with that the studio was started with."""
MOST_LOOKS = 32
"""That one visitor may wait for: a scene that is opened asks about each of its things at once."""
CLOSE_SECONDS = 10.0
"""How long a server that ends waits for the job it is making to stop: a frame takes seconds at most."""
LISTENS_EVERY = 0.1
"""Seconds between two looks whether the browser still waits for its answer."""


class Studio:
    """Everything the pages of one server share: who visits, who calls the API, what is being made.

    With `keys` programs ask for clips, too, and what they have asked for lies in `home`/videos and outlives
    this process; visitors' jobs end with it. `memory` are the bytes that the server may take.
    """

    def __init__(self, home: Path, keys: tuple[Key, ...] = (), memory: int | None = None) -> None:
        self.budget = Budget.of_server(memory)
        self.quota = Quota(home)
        self.visitors = Visitors(home / "visitors", self.quota)
        self.callers = Callers(home / "api" / "callers", self.quota)
        self.shares = Shares(home / "shares")
        self._offered: dict[str, Path | bytes] = {}
        self.workshop = making.Workshop()
        self.videos = home / "videos" if keys else passing_folder(home)
        self.store = open_store(self.videos)
        self.pool = Pool(self.store, self.videos, 0, room={key.owner: key.bytes for key in keys})
        self.pool.start()
        # What is so small gains nothing from a second thread, and two that wait for each other on a busy
        # machine burn more than twenty times as much.
        threads = torch.get_num_threads()
        self.renders = HouseQueue(self.store, self.pool, self.workshop.engines, self.budget, threads)
        self.previews = FairQueue("previews", 1)
        self.motions = FairQueue("motions")
        self.downloads = FairQueue("downloads")
        self.looks = FairQueue("looks", None, MOST_LOOKS, 4 * MOST_LOOKS)
        """At files that came in, and at photos: one at a time, for each takes memory."""
        self.things = FairQueue("things", None, MOST_LOOKS, 4 * MOST_LOOKS)
        """Looks at photos for what is clicked: a hand waits for these, so they wait for no file."""
        self.forms = FairQueue("forms", 1)
        """Clips and scenes that are put into another form, to be taken home."""

    @property
    def queues(self) -> tuple[FairQueue, ...]:
        """All that visitors' jobs wait in."""
        made = self.renders, self.previews, self.motions, self.downloads
        return (*made, self.looks, self.things, self.forms)

    def within_memory(self, request: AnimationRequest, work: Work) -> Work:
        """The work on a request, begun when there is memory for it beside what else is being made.

        Raises ResourceError where there never is.
        """
        needed = needed_memory(request)
        self.budget.check(needed)

        def bounded(job: Job) -> Any:
            with self.budget.held(needed, job.look):
                return work(job)

        return bounded

    def offer(self, packed: Path | bytes) -> str:
        """A secret name under which every visitor's page opens a copy of a packed scene."""
        name = f"{OFFERED}{secrets.token_urlsafe(16)}"
        self._offered[name] = packed
        return name

    def offered(self, name: str) -> Path | io.BytesIO:
        """The packed scene of that name. Raises InputError: there is none."""
        packed = self._offered.get(name)
        if packed is None:
            raise unknown_scene(name)
        return io.BytesIO(packed) if isinstance(packed, bytes) else packed

    def sweep(self) -> None:
        """Lets go of everything that visitors who are gone for a day have left."""
        for name in [*self.visitors.sweep(), *self.callers.sweep()]:
            for queue in self.queues:
                queue.forget(name)
        self.shares.sweep()

    def close(self) -> None:
        """Calls off what visitors' jobs still wait for or make, so that nothing half-made stays behind."""
        made = [job.future for queue in self.queues for job in queue.cancel_all()]
        wait(made, timeout=CLOSE_SECONDS)


router = APIRouter(prefix="/studio")


def _studio(request: Request) -> Studio:
    return request.app.state.studio


TheStudio = Annotated[Studio, Depends(_studio)]


def _visitor(studio: TheStudio, token: Annotated[str, Cookie(alias=COOKIE)] = "") -> Visitor:
    return studio.visitors.visitor(token)


TheVisitor = Annotated[Visitor, Depends(_visitor)]
Scene = Annotated[dict[str, Any], Body(embed=True)]


@router.get("/start")
def start(
    studio: TheStudio, response: Response, token: Annotated[str, Cookie(alias=COOKIE)] = ""
) -> dict[str, Any]:
    """All the page needs to begin. Gives a new visitor their secret."""
    try:
        visitor = studio.visitors.visitor(token)
    except InputError:
        token = new_token()
        visitor = studio.visitors.visitor(token)
    response.set_cookie(COOKIE, token, max_age=KEEP_SECONDS, httponly=True, samesite="lax")
    return {
        "texts": TEXTS,
        "problems": PROBLEMS,
        "settings": settings_form(),
        "examples": [{"name": name, "title": example_title(name)} for name in example_names()],
        "results": making.results(visitor),
        "jobs": [_state(studio.renders, job) for job in studio.renders.unfinished(visitor.name)],
        "accept": {kind: ",".join(rule.suffixes) for kind, rule in KINDS.items()},
    }


# --- Files ---


@router.post("/files/{kind}")
async def upload(
    kind: str, name: str, request: Request, studio: TheStudio, visitor: TheVisitor
) -> dict[str, Any]:
    """Takes a file in, as the request's body; answers with its name in the visitor's folder."""
    length = request.headers.get("content-length", "")
    told = int(length) if length.isdecimal() else None
    path = await receive(request.stream(), kind, Path(name).suffix.lower(), visitor, told)
    try:
        await answered(
            studio.looks.submit(visitor.name, lambda _: check_upload(path, kind)), studio.looks, request
        )
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return {"name": path.name} | (_size(path) if kind == "photo" else {})


@router.get("/files/{name}")
def file(name: str, visitor: TheVisitor) -> FileResponse:
    """A mask as it was uploaded."""
    path = visitor.file(name)
    if path.suffix != ".png":
        raise InputError(f'"{name}" is nothing to look at.', key="file.look")
    return FileResponse(path)


@router.get("/photos/{name}")
async def photo(name: str, request: Request, studio: TheStudio, visitor: TheVisitor) -> FileResponse:
    """A photo as every browser can show it."""
    path = visitor.file(name)
    work = partial(_view, path, visitor)
    return FileResponse(await answered(studio.looks.submit(visitor.name, work), studio.looks, request))


@router.get("/shared/{token}.mp4")
def shared_clip(token: str, studio: TheStudio) -> FileResponse:
    """A clip that somebody has given a link to."""
    return FileResponse(studio.shares.clip(token))


@router.get("/results/{name}/{file_name}")
def result_file(name: str, file_name: str, visitor: TheVisitor) -> FileResponse:
    """A file of a finished clip."""
    return FileResponse(visitor.file("results", name, file_name))


@router.get("/results/{name}/as/{form}")
async def result_download(
    name: str, form: str, request: Request, studio: TheStudio, visitor: TheVisitor
) -> FileResponse:
    """A finished clip to take home."""
    job = studio.forms.submit(visitor.name, lambda _: making.download(visitor, name, form))
    path = await answered(job, studio.forms, request)
    return FileResponse(path, filename=f"mofa-{path.name}")


def _view(path: Path, visitor: Visitor, _: Job) -> Path:
    with visitor.having(making.VIEW_BYTES):
        return making.view_of(path)


def _size(path: Path) -> dict[str, int]:
    width, height = picture_size(path)
    return {"width": width, "height": height}


@router.get("/examples/{name}.jpg")
def example_photo(name: str) -> FileResponse:
    """The photo of an example."""
    picture = AnimationRequest.from_file(example(name)).picture
    assert picture is not None  # every scene file names one
    return FileResponse(picture)


# --- Scenes ---


def _opened(scene: dict[str, Any], visitor: Visitor) -> dict[str, Any]:
    """A scene with what the canvas draws: the photo's size, faces' points that were set by hand."""
    by_hand = {control["landmarks"] for control in scene["controls"] if "landmarks" in control}
    return {
        "scene": scene,
        "picture": {"name": scene["picture"]} | _size(visitor.file(scene["picture"])),
        "points": {name: read_face_points(visitor.file(name)).tolist() for name in by_hand},
    }


@router.post("/scenes/open")
async def open_scene(
    name: Annotated[str, Body()],
    request: Request,
    studio: TheStudio,
    visitor: TheVisitor,
    picture: Annotated[str | None, Body()] = None,
) -> dict[str, Any]:
    """The canvas's state from an uploaded scene file."""
    path = visitor.file(name)
    job = studio.looks.submit(visitor.name, lambda _: _opened(unpack_scene(path, visitor, picture), visitor))
    try:
        return await answered(job, studio.looks, request)
    finally:
        path.unlink(missing_ok=True)


@router.post("/scenes/pack")
async def take_scene_home(scene: Scene, request: Request, studio: TheStudio, visitor: TheVisitor) -> Response:
    """The canvas's state as a zip."""
    wanted = await run_in_threadpool(request_from_scene, scene, visitor)

    def pack(_: Job) -> Path:
        with visitor.having(packed_bytes(wanted)):
            path = visitor.room() / new_name("packed", ".zip")
            pack_scene(wanted, path)
        return path

    path = await answered(studio.forms.submit(visitor.name, pack), studio.forms, request)
    return FileResponse(path, media_type="application/zip", background=BackgroundTask(path.unlink))


@router.put("/scenes/{name}")
def keep_scene(
    name: str, document: Annotated[dict[str, Any], Body(embed=True)], visitor: TheVisitor
) -> dict[str, str]:
    """Keeps the canvas's document, finished or not, under a name that the page's address can carry."""
    save_document(name, document, visitor)
    return {"name": name}


@router.get("/scenes/{name}")
def named_scene(name: str, studio: TheStudio, visitor: TheVisitor) -> dict[str, Any]:
    """An example, a document that was kept, what the studio was started with, the scene of one of the
    visitor's clips or of one given away."""
    if name.startswith(KEPT):
        return {"document": read_document(name, visitor)}
    if name.startswith(OFFERED):
        return _opened(unpack_scene(studio.offered(name), visitor, None), visitor)
    if name.startswith(SHARED):
        request = studio.shares.scene(name.removeprefix(SHARED), visitor)
    elif name in example_names():
        request = adopt_files(AnimationRequest.from_file(example(name)), visitor)
    else:
        request = AnimationRequest.from_file(_clips_scene(name, visitor))
    return _opened(scene_from_request(request), visitor)


def _clips_scene(name: str, visitor: Visitor) -> Path:
    try:
        return visitor.file("results", name, making.SCENE)
    except InputError:
        raise unknown_scene(name) from None


# --- Making ---


@router.post("/preview")
async def preview(scene: Scene, request: Request, studio: TheStudio, visitor: TheVisitor) -> dict[str, Any]:
    """The instant preview; a newer one of the same visitor cancels it, and so does who no longer listens."""
    wanted = await run_in_threadpool(request_from_scene, scene, visitor)
    small = await run_in_threadpool(making.small_request, wanted)
    work = studio.within_memory(small, partial(making.preview_for_page, wanted))
    return await _answered(studio.previews.replace(visitor.name, work), studio.previews, request)


@router.post("/landmarks")
async def landmarks(scene: Scene, request: Request, studio: TheStudio, visitor: TheVisitor) -> dict[str, Any]:
    """How the driven faces move; a newer question of the same visitor cancels it."""
    wanted = await run_in_threadpool(request_from_scene, scene, visitor)
    work = studio.within_memory(wanted, partial(making.landmarks, wanted, studio.workshop.speak))
    return await _answered(studio.motions.replace(visitor.name, work), studio.motions, request)


async def _answered(job: Job, queue: FairQueue, request: Request) -> dict[str, Any]:
    """What a job returns, for as long as the browser waits for it."""
    try:
        return await answered(job, queue, request)
    except Cancelled:
        return {"cancelled": True}


async def answered(job: Job, queue: FairQueue, request: Request) -> Any:
    """What a job returns; it is cancelled when the browser no longer waits for it."""
    made = asyncio.wrap_future(job.future)
    while not made.done():
        await asyncio.wait([made], timeout=LISTENS_EVERY)
        if await request.is_disconnected():
            queue.cancel(job)
    return made.result()


@router.post("/faces")
async def faces(
    picture: Annotated[str, Body(embed=True)], request: Request, studio: TheStudio, visitor: TheVisitor
) -> dict[str, Any]:
    """The faces in a photo."""
    path = visitor.file(picture)
    job = studio.looks.submit(visitor.name, lambda _: {"faces": making.faces_in(path)})
    return await _answered(job, studio.looks, request)


@router.put("/renders/{name}")
def render(
    name: Annotated[str, PathParameter(pattern=r"^[a-z0-9]{8,32}$")],
    scene: Scene,
    studio: TheStudio,
    visitor: TheVisitor,
) -> dict[str, Any]:
    """Queues a clip under a name of the page's own; answers with the job's state.

    The page asks again when it has heard nothing, or when this server was started anew: a job that waits,
    runs or is over is not begun a second time.
    """
    request = request_from_scene(scene, visitor)

    def clip(job: Job) -> dict[str, Any]:
        return studio.workshop.clip(request, visitor, job, job.show)

    work = studio.within_memory(request, clip)
    return _state(studio.renders, studio.renders.submit(visitor.name, work, name))


@router.post("/weights")
def weights(scene: Scene, visitor: TheVisitor) -> list[dict[str, Any]]:
    """The weights that this scene lacks."""
    return missing_weights(request_from_scene(scene, visitor))


@router.post("/weights/download")
def fetch_weights(scene: Scene, studio: TheStudio, visitor: TheVisitor) -> dict[str, Any]:
    """Queues the download of the weights that this scene lacks."""
    slots = needed_weights(request_from_scene(scene, visitor))
    job = studio.downloads.submit(visitor.name, lambda progress: len(download(slots, progress)))
    return _state(studio.downloads, job)


@router.get("/jobs/{name}")
def job_state(name: str, studio: TheStudio, visitor: TheVisitor) -> dict[str, Any]:
    """How far a job is."""
    return _state(*_find(name, studio, visitor))


@router.get("/jobs/{name}/preview")
def job_preview(name: str, studio: TheStudio, visitor: TheVisitor) -> Response:
    """A few frames of the clip while it is denoised; nothing where nothing was shown yet."""
    _, job = _find(name, studio, visitor)
    return Response(job.preview, 200 if job.preview else 204, {"Cache-Control": "no-store"}, "image/jpeg")


@router.delete("/jobs/{name}")
def cancel_job(name: str, studio: TheStudio, visitor: TheVisitor) -> dict[str, Any]:
    """Stops a job."""
    queue, job = _find(name, studio, visitor)
    queue.cancel(job)
    return _state(queue, job)


def _find(name: str, studio: Studio, visitor: Visitor) -> tuple[FairQueue, Job]:
    for queue in (studio.renders, studio.downloads):
        job = queue.find(visitor.name, name)
        if job is not None:
            return queue, job
    raise InputError("this job is not known any more: start it again.", key="job.unknown")


def _state(queue: FairQueue, job: Job) -> dict[str, Any]:
    finished = job.future.done()
    error = job.future.exception() if finished else None
    return {
        "job": job.name,
        "state": job.state,
        "ahead": queue.ahead(job),
        "stage": job.stage,
        "done": job.done,
        "total": job.total,
        "seconds_left": job.seconds_left(),
        "shown": job.shown,
        "result": job.future.result() if finished and error is None else None,
        "problem": problem(error) if error is not None and job.state == "failed" else None,
    }
