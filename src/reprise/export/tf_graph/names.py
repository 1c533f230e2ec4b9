"""Names that TensorFlow takes for arguments of signatures and for variables."""

from __future__ import annotations

import re
from collections.abc import Collection


def identifier(name: str, taken: Collection[str] = ()) -> str:
    """`layer0.c` → `layer0_c`: a name for an argument, another where it is taken."""
    made = re.sub(r"\W", "_", name) or "value"
    made = f"v{made}" if made[0] in "_0123456789" else made
    while made in taken:
        made += "_"
    return made
