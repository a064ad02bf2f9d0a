"""What lies beside weights and says what they are: config.json and its like."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mofa.errors import WeightsError
from mofa.media.files import replacing


def read_config(path: Path) -> dict[str, Any]:
    """A config.json as plain data; WeightsError where it is none."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read as a config.json ({error}): fetch it again.") from error
    if not isinstance(config, dict):
        raise WeightsError(f"{path} is not a config.json: fetch it again.")
    return config


def write_config(values: Mapping[str, Any], path: Path) -> None:
    """Writes plain data as JSON. Raises OutputError where the file exists or cannot be written."""
    with replacing(path, overwrite=False) as hidden:
        hidden.write_text(json.dumps(dict(values), indent=2, default=str), encoding="utf-8")
