"""Calls to other servers when a job has ended: signed, tried until they are taken, and never twice at a time.

Headers and signature are those of Standard Webhooks (standardwebhooks.com), so that receivers can check them
with the libraries that there are. What has not arrived lies in the job store and outlives the server.
"""

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from mofa.apps.serve.keys import Key
from mofa.apps.serve.store import Delivery, JobStore
from mofa.errors import InputError

PAUSES = (5.0, 30.0, 120.0, 600.0, 3600.0, 4 * 3600.0)
"""Seconds before another try; a call that has failed once more often is given up."""
LOOK_SECONDS = 1.0
"""How often the store is asked for calls to be made."""
ANSWER_SECONDS = 10.0
"""How long a receiver may take to answer."""

Post = Callable[[str, bytes, Mapping[str, str]], int]
"""(address, body, headers) -> HTTP status, 0 where nobody answers."""


def check_webhook(url: str, key: Key, hosts: frozenset[str]) -> None:
    """Raises InputError for an address that this server does not call."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or parts.netloc not in hosts:
        allowed = ", ".join(sorted(hosts)) or "none"
        raise InputError(f"webhook: {url[:100]} is not called from here; allowed hosts: {allowed}.")
    if not key.secret:
        raise InputError("webhook: calls are signed with a key, and this server asks for none.")


def signed(delivery: Delivery, secret: str, now: float) -> dict[str, str]:
    """The headers of a call: its id, its time, and HMAC-SHA256 over both and the body by the owner's key."""
    name, stamp = f"msg_{delivery.number}", str(int(now))
    message = f"{name}.{stamp}.{delivery.body}".encode()
    digest = base64.b64encode(hmac.new(secret.encode(), message, hashlib.sha256).digest()).decode()
    return {
        "content-type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{digest}",
    }


def post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """One call, not led elsewhere by its answer."""
    import httpx

    try:
        return httpx.post(url, content=body, headers=dict(headers), timeout=ANSWER_SECONDS).status_code
    except httpx.HTTPError:
        return 0


class Courier:
    """The thread that makes the calls."""

    def __init__(
        self, store: JobStore, keys: Sequence[Key], post: Post = post, pauses: Sequence[float] = PAUSES
    ) -> None:
        self._store, self._post, self._pauses = store, post, pauses
        self._secrets = {key.owner: key.secret for key in keys}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mofa-webhooks", daemon=True)

    def start(self) -> None:
        """Begins, with what an earlier server left."""
        self._thread.start()

    def close(self) -> None:
        """Stops after the call that is being made."""
        self._closing.set()
        self._thread.join()

    def deliver_due(self) -> None:
        """Makes every call whose time has come, once."""
        for delivery in self._store.deliveries(time.time()):
            if self._closing.is_set():
                return
            secret = self._secrets.get(delivery.owner)
            if secret is None or self._taken(delivery, secret) or delivery.attempts >= len(self._pauses):
                self._store.delivered(delivery.number)
            else:
                self._store.postpone(delivery.number, time.time() + self._pauses[delivery.attempts])

    def _taken(self, delivery: Delivery, secret: str) -> bool:
        headers = signed(delivery, secret, time.time())
        return 200 <= self._post(delivery.url, delivery.body.encode(), headers) < 300

    def _work(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            self.deliver_due()
