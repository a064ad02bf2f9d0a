"""Who calls the API: without a cookie an address is one visitor, and each call has a folder in theirs."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mofa.apps.studio.quota import Quota, no_room
from mofa.apps.studio.visitors import KEEP_SECONDS, MARKER, Visitor, Visitors, new_token


class Callers:
    """Folders of API calls below `home`; what an address keeps there, and what Gradio stores for it, is
    bounded as a visitor's files are."""

    def __init__(self, home: Path, quota: Quota) -> None:
        self._home, self._quota = home, quota

    def visitor(self, address: str) -> Visitor:
        """A folder for a call from that address."""
        account = self._account(address)
        account.mkdir(mode=0o700, parents=True, exist_ok=True)
        (account / MARKER).touch()
        return replace(Visitors(account).visitor(new_token()), quota=self._quota, account=account)

    @contextmanager
    def storing(self, address: str, most: int) -> Iterator[int]:
        """Sets room aside for what Gradio stores of a call, yields how much, and remembers it for as long as
        Gradio does; of no address ("") only what everybody keeps together counts. Raises InputError where
        there is less."""
        account = self._account(address) if address else None
        with self._quota.room(account, most) as granted:
            if granted < most:
                raise no_room()
            yield granted
        if account is not None:
            self._quota.note(account, granted, time.time() + KEEP_SECONDS)

    def sweep(self, now: float | None = None) -> list[str]:
        """Removes the folders of calls that are a day old; returns their names."""
        accounts = self._home.iterdir() if self._home.is_dir() else ()
        ours = [folder for folder in accounts if (folder / MARKER).is_file() and not folder.is_symlink()]
        return [name for folder in ours for name in Visitors(folder).sweep(now)]

    def _account(self, address: str) -> Path:
        return self._home / hashlib.sha256(address.encode()).hexdigest()[:32]
