"""Links to a clip: whoever has one sees the clip, and gets a copy of its scene on a canvas of their own."""

import logging
import os
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
LONGEST_LINK = 4096
"""Bytes of a path, at most."""
LOG = logging.getLogger("mofa.studio")


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
        if _TOKEN.fullmatch(token) and self._is_ours(link):
            clip = self._leads_to(link)
            if clip is not None:
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
        with visitor.having(needed):
            return adopt_files(request, visitor)

    def sweep(self) -> None:
        """Forgets the secrets of clips that are gone; what is no secret of ours stays."""
        for link in self._home.iterdir() if self._home.is_dir() else ():
            try:
                if _TOKEN.fullmatch(link.name) and self._is_ours(link) and not self._leads_to(link):
                    link.unlink()
            except OSError as error:
                LOG.warning("a link cannot be removed (%s)", error.strerror)

    def _is_ours(self, link: Path) -> bool:
        """Whether `give` wrote it: it names a visitor's clip of this server."""
        if link.is_symlink() or not link.is_file() or link.stat().st_size > LONGEST_LINK:
            return False
        return Path(os.fsdecode(link.read_bytes())).is_relative_to(self._home.with_name("visitors"))

    def _leads_to(self, link: Path) -> Path | None:
        clip = Path(os.fsdecode(link.read_bytes())) / CLIP
        return clip if clip.is_file() else None
