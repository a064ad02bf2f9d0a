"""Links to a clip: whoever has one sees the clip, and gets a copy of its scene on a canvas of their own."""

import re
import secrets
from pathlib import Path

from mofa.apps.studio.making import CLIP, SCENE
from mofa.apps.studio.scenes import adopt_files
from mofa.apps.studio.visitors import Visitor
from mofa.errors import InputError
from mofa.media.files import replacing
from mofa.pipeline.request import AnimationRequest

SHARED = "shared-"
"""What the names of scenes begin with that somebody else has given away."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")
_KEPT = "link.txt"


class Shares:
    """Secrets that lead to clips: a small file for each, which names the clip. It lasts as long as that."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def give(self, visitor: Visitor, clip: str) -> str:
        """The secret of a visitor's clip, the same each time. Raises InputError: there is no such clip."""
        folder = visitor.file("results", clip, CLIP).parent
        known = folder / _KEPT
        if known.exists():
            return known.read_text(encoding="utf-8")
        token = secrets.token_urlsafe(16)
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, text in ((self._home / token, str(folder)), (known, token)):
            with replacing(path, overwrite=True) as hidden:
                hidden.write_text(text, encoding="utf-8")
        return token

    def clip(self, token: str) -> Path:
        """The clip behind a secret. Raises InputError: there is none, or it was thrown away."""
        link = self._home / token
        if _TOKEN.fullmatch(token) and link.is_file():
            clip = Path(link.read_text(encoding="utf-8")) / CLIP
            if clip.is_file():
                return clip
        raise InputError("this link leads nowhere any more: clips are kept for a day.", key="link.gone")

    def scene(self, token: str, visitor: Visitor) -> AnimationRequest:
        """The clip's scene over copies of its files in the visitor's own folder. Raises InputError as `clip`
        does, and where the visitor has no room for them."""
        request = AnimationRequest.from_file(self.clip(token).with_name(SCENE))
        files: set[Path] = set()

        def noted(path: Path) -> Path:
            files.add(path)
            return path

        request.with_paths(noted)
        needed = sum(path.stat().st_size for path in files)
        with visitor.keeping(needed) as granted:
            if granted < needed:
                raise InputError(
                    "what this link leads to takes too much room: begin a new visit.", key="room.full"
                )
            return adopt_files(request, visitor)

    def sweep(self) -> None:
        """Forgets the secrets of clips that are gone."""
        for link in self._home.iterdir() if self._home.is_dir() else ():
            try:
                self.clip(link.name)
            except InputError:
                link.unlink(missing_ok=True)
