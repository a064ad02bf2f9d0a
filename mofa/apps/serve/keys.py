"""Who may ask: API keys, their names, and how much each may have waiting."""

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mofa.errors import InputError

USUAL_QUOTA = 100
"""Jobs that a key may have waiting where its line says nothing."""
GB = 10**9
LINE = re.compile(
    r"(?P<owner>[A-Za-z0-9][\w.-]{0,63})\s+(?P<secret>\S{16,})(\s+(?P<quota>\d{1,9})(\s+(?P<room>\d{1,9}(\.\d+)?))?)?"
)
LOCAL = "local"
"""The owner of everything where no keys are asked for."""


@dataclass(frozen=True)
class Key:
    """A key's owner, the key, how many unfinished jobs it may have, and how many bytes its clips may take
    (None: as many as there is room for)."""

    owner: str
    secret: str
    quota: int = USUAL_QUOTA
    bytes: int | None = None


def read_keys(path: Path) -> tuple[Key, ...]:
    """Lines OWNER KEY [QUOTA [GB]]; empty ones and # comments are left out. Raises InputError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the keys in {path} cannot be read ({error}): check the path.") from None
    keys = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = LINE.fullmatch(line.strip())
        if match is None:
            raise InputError(
                f"{path}, line {number}: write OWNER KEY [QUOTA [GB]], a key of 16 letters or more."
            )
        quota, room = match["quota"], match["room"]
        keys.append(
            Key(
                match["owner"],
                match["secret"],
                USUAL_QUOTA if quota is None else int(quota),
                None if room is None else int(float(room) * GB),
            )
        )
    if not keys:
        raise InputError(f"{path} holds no keys: write OWNER KEY [QUOTA [GB]], one a line.")
    return tuple(keys)


def owner_of(authorization: str, keys: Sequence[Key]) -> Key | None:
    """Whose key an Authorization header carries; every key is compared, in the same time."""
    if not keys:
        return Key(LOCAL, "")
    given = authorization.removeprefix("Bearer ").strip().encode()
    found = [key for key in keys if hmac.compare_digest(given, key.secret.encode())]
    return found[0] if found else None
