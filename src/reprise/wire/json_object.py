"""JSON files that hold one object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reprise.errors import DamagedFile
from reprise.files import read_whole


def read(path: Path, most: int) -> dict[str, Any]:
    """The object in a file of at most `most` bytes.

    Raises:
        DamagedFile: It is larger, cannot be read, or is not JSON with an object.
    """
    try:
        content = json.loads(read_whole(path, most))
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedFile(f"{path}: is not complete JSON ({error}). Copy it again.") from error
    if not isinstance(content, dict):
        raise DamagedFile(f"{path}: expected an object, found a {type(content).__name__}.")
    return content
