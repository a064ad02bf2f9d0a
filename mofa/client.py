"""Clips from a server of `mofa serve`, in Python:

    client = Client("http://127.0.0.1:8600", key="...")
    video = client.create("photo.jpg", {"controls": [{"kind": "camera", "move": "zoom 1.1"}]})
    client.save(client.wait(video), "clip.mp4")

Needs httpx, which the serve extra brings, and nothing else of mofa's.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import httpx

from mofa.errors import InputError, MofaError, OutputError
from mofa.media.files import replacing

Status = Literal["queued", "in_progress", "completed", "failed", "cancelled"]
PICTURE = "input_reference"
POLL_SECONDS = 1.0
"""Between two questions; a clip takes seconds to minutes."""


@dataclass(frozen=True)
class Video:
    """A clip that was asked for, as the server tells it. Times are seconds since 1970, `progress` 0..100."""

    id: str
    status: Status
    progress: int
    stage: str
    error: str | None
    created_at: int
    started_at: int | None
    completed_at: int | None

    @property
    def has_ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.status in ("completed", "failed", "cancelled")


class ServerError(MofaError):
    """The server refused, or cannot be reached; `status` is its HTTP answer, 0 where there was none."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """A connection to one server; close it, or use it in a `with` block."""

    def __init__(
        self, address: str, key: str = "", timeout: float = 60.0, transport: httpx.BaseTransport | None = None
    ) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=address, headers=headers, timeout=timeout, transport=transport)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets the connection go."""
        self._http.close()

    def create(
        self,
        picture: str | Path,
        scene: Mapping[str, Any],
        files: Mapping[str, str | Path] | None = None,
        name: str | None = None,
    ) -> Video:
        """Asks for a clip of a photo. `files` are what the scene names, name -> path.

        With a `name` of one's own, asking twice makes one clip. Raises ServerError; InputError for a file
        that cannot be read.
        """
        with ExitStack() as opened:
            try:
                parts = [(PICTURE, (Path(picture).name, opened.enter_context(Path(picture).open("rb"))))]
                parts += [
                    ("file", (called, opened.enter_context(Path(path).open("rb"))))
                    for called, path in (files or {}).items()
                ]
            except OSError as error:
                raise InputError(f"{error.filename} cannot be read ({error.strerror}).") from None
            where = ("POST", "/v1/videos") if name is None else ("PUT", f"/v1/videos/{name}")
            answer = self._ask(*where, data={"scene": json.dumps(scene)}, files=parts)
        return video_from(answer.json())

    def show(self, video: Video | str) -> Video:
        """How far a clip is now."""
        return video_from(self._ask("GET", f"/v1/videos/{id_of(video)}").json())

    def all(self) -> Iterator[Video]:
        """Every clip of this key, the newest first."""
        after: dict[str, str] = {}
        while True:
            page = self._ask("GET", "/v1/videos", params={"limit": "100", **after}).json()
            found = [video_from(item) for item in page["data"]]
            yield from found
            if not page["has_more"] or not found:
                return
            after = {"after": found[-1].id}

    def wait(self, video: Video | str, seconds: float = float("inf")) -> Video:
        """The clip when it has ended. Raises ServerError when it failed, was called off, or takes longer."""
        end = time.monotonic() + seconds
        while not (now := self.show(video)).has_ended:
            if time.monotonic() > end:
                raise ServerError(f"the video {now.id} has not ended within {seconds:g} s.")
            time.sleep(POLL_SECONDS)
        if now.status != "completed":
            raise ServerError(f"the video {now.id} {now.status}: {now.error or 'it was called off.'}")
        return now

    def save(self, video: Video | str, path: str | Path, overwrite: bool = False) -> Path:
        """Fetches a finished clip to a file, whole or not at all."""
        target = Path(path)
        if target.suffix.lower() != ".mp4":
            raise OutputError(f"{target} is to hold an MP4 clip: give it the suffix .mp4.")
        answer = self._ask("GET", f"/v1/videos/{id_of(video)}/content")
        with replacing(target, overwrite) as hidden:
            hidden.write_bytes(answer.content)
        return target

    def preview(self, video: Video | str) -> bytes | None:
        """A few frames of a clip as JPEG while it is denoised; None where there is nothing to see."""
        try:
            return self._ask("GET", f"/v1/videos/{id_of(video)}/preview").content
        except ServerError as error:
            if error.status == 404:
                return None
            raise

    def cancel(self, video: Video | str) -> Video:
        """Calls a clip off."""
        return video_from(self._ask("DELETE", f"/v1/videos/{id_of(video)}").json())

    def _ask(self, method: str, path: str, **what: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **what)
        except httpx.HTTPError as error:
            raise ServerError(f"{self._http.base_url} cannot be reached: {error}.") from None
        if answer.is_success:
            return answer
        try:
            sentence = answer.json()["error"]["message"]
        except (ValueError, KeyError, TypeError):
            sentence = answer.reason_phrase
        raise ServerError(sentence, answer.status_code)


def id_of(video: Video | str) -> str:
    """A clip's id."""
    return video if isinstance(video, str) else video.id


def video_from(data: Mapping[str, Any]) -> Video:
    """A clip as the server's JSON tells it; what a newer server adds is left out."""
    return Video(**{field.name: data[field.name] for field in fields(Video)})
