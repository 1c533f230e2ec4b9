"""Seconds from process start to a model that is ready, for every saved model in a folder.

    python benchmarks/restore_times.py FOLDER [--only REGEX] [--rounds 2] [--save FILE]

FOLDER holds one folder for each model, with an `about.json` that names the `path` to restore, or with a `.meta` file.
Each model is restored by a process of its own in each round; the quickest run counts. The seconds of the processor
stand beside: on a busy machine they say more. What is refused is listed too: a refusal should be as quick as an answer.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RESTORE = """
import sys
from reprise.errors import RepriseError
import reprise
try:
    model = reprise.restore(sys.argv[1])
    print("ready", ",".join(model.lifted.fast) or "loop")
except RepriseError as error:
    print(type(error).__name__, "-")
"""


def model_path(folder: Path) -> Path | None:
    """What a user would name of a model."""
    about = folder / "about.json"
    if about.exists():
        return folder / json.loads(about.read_text())["path"]
    return next(iter(sorted(folder.glob("*.meta"))), None)


def measured(path: Path, rounds: int) -> tuple[float, float, str]:
    """The seconds of the quickest of some runs, on the clock and of the processor, and what came of it."""
    clock, busy, words = float("inf"), float("inf"), ""
    for _ in range(rounds):
        began, used = time.perf_counter(), processor_seconds()
        run = subprocess.run([sys.executable, "-c", RESTORE, str(path)], capture_output=True, text=True, check=False)
        clock, busy = min(clock, time.perf_counter() - began), min(busy, processor_seconds() - used)
        words = run.stdout.strip() or f"status {run.returncode}"
    return clock, busy, words


def processor_seconds() -> float:
    """What the processes that have ended used of the processor."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def versions() -> dict[str, str]:
    """What is measured."""
    return {"python": platform.python_version(), **{n: version(n) for n in ("numpy", "onnxruntime", "protobuf")}}


def main() -> None:
    """Prints the table."""
    options, load = _options(), os.getloadavg()[0]
    rows: dict[str, dict[str, float | str]] = {}
    for folder in sorted(options.folder.iterdir()):
        path = model_path(folder) if folder.is_dir() and re.search(options.only, folder.name) else None
        if path is not None:
            clock, busy, words = measured(path, options.rounds)
            rows[folder.name] = {"clock_s": clock, "processor_s": busy, "came_of_it": words}
            print(f"{folder.name:44} {clock:6.2f} s  {busy:6.2f} s  {words}", flush=True)
    if not rows:
        sys.exit(f"{options.folder}: no model in its folders fits {options.only!r}")
    medians = {
        kind: statistics.median(float(row[kind]) for row in rows.values()) for kind in ("clock_s", "processor_s")
    }
    print(f"{len(rows)} models, median {medians['clock_s']:.2f} s, {medians['processor_s']:.2f} s of the processor")
    if options.save:
        known = {"date": datetime.now(UTC).date().isoformat(), "processor": processor(), "load_before": load}
        known |= {"versions": versions(), "rounds": options.rounds, "median": medians, "models": rows}
        options.save.write_text(json.dumps(known, indent=1) + "\n")


def processor() -> str:
    """Its name, where the system tells it."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{named[0] if named else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", metavar="REGEX", help="folders whose name it is found in")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--save", type=Path, help="write the results as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
