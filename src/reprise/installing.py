"""How to install what is missing, from where Reprise itself was installed."""

from __future__ import annotations

import json
import shlex
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from urllib.parse import unquote, urlsplit

NAME = "reprise-rnn"


def install(extra: str) -> str:
    """The command that installs an extra: of the folder or address that Reprise came from, else of its name."""
    source = _source()
    wanted = f"{NAME}[{extra}]" + (f" @ {source}" if source else "")
    if source.startswith("file:"):
        wanted = f"{unquote(urlsplit(source).path)}[{extra}]"
    return f"{shlex.quote(sys.executable)} -m pip install {shlex.quote(wanted)}"


def _source() -> str:
    """Where Reprise was installed from, as PEP 610 records it; empty for an index."""
    with suppress(PackageNotFoundError, ValueError, LookupError, TypeError):
        record = json.loads(distribution(NAME).read_text("direct_url.json") or "{}")
        kind = record.get("vcs_info", {}).get("vcs", "")
        return f"{kind}+{record['url']}" if kind else str(record["url"])
    return ""
