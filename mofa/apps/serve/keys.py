"""Who may ask: API keys, their names, and how much each may have waiting."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mofa.errors import InputError

USUAL_QUOTA = 100
LOCAL = "local"
"""The owner of everything where no keys are asked for."""


@dataclass(frozen=True)
class Key:
    """A key's owner, the key, and how many unfinished jobs it may have."""

    owner: str
    secret: str
    quota: int = USUAL_QUOTA


def read_keys(path: Path) -> tuple[Key, ...]:
    """Lines OWNER KEY [QUOTA]; empty ones and # comments are left out. Raises InputError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the keys in {path} cannot be read ({error}): check the path.") from None
    keys = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) not in (2, 3) or (len(words) == 3 and not words[2].isdecimal()) or len(words[1]) < 16:
            raise InputError(f"{path}, line {number}: write OWNER KEY [QUOTA], a key of 16 letters or more.")
        keys.append(Key(words[0], words[1], int(words[2]) if len(words) == 3 else USUAL_QUOTA))
    if not keys:
        raise InputError(f"{path} holds no keys: write OWNER KEY [QUOTA], one a line.")
    return tuple(keys)


def owner_of(authorization: str, keys: Sequence[Key]) -> Key | None:
    """Whose key an Authorization header carries; every key is compared, in the same time."""
    if not keys:
        return Key(LOCAL, "")
    given = authorization.removeprefix("Bearer ").strip().encode()
    found = [key for key in keys if hmac.compare_digest(given, key.secret.encode())]
    return found[0] if found else None
