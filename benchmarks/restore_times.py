"""Seconds from process start to a model that is ready, for every saved model in a folder.

    python benchmarks/restore_times.py FOLDER [--only REGEX] [--save FILE]

FOLDER holds one folder for each model, with an `about.json` that names the `path` to restore, or with a `.meta` file.
Each model is restored by a process of its own, twice; the quicker run counts. What is refused is listed with its time
too: a refusal should be as quick as an answer.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
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


def measured(path: Path) -> tuple[float, str]:
    """The time of the quicker of two runs, and what came of it."""
    best, words = float("inf"), ""
    for _ in range(2):
        began = time.perf_counter()
        run = subprocess.run([sys.executable, "-c", RESTORE, str(path)], capture_output=True, text=True, check=False)
        best, words = min(best, time.perf_counter() - began), run.stdout.strip() or f"status {run.returncode}"
    return best, words


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    rows = {}
    for folder in sorted(options.folder.iterdir()):
        path = model_path(folder) if folder.is_dir() and re.search(options.only, folder.name) else None
        if path is not None:
            rows[folder.name] = measured(path)
            print(f"{folder.name:44} {rows[folder.name][0]:6.2f} s  {rows[folder.name][1]}", flush=True)
    times = [seconds for seconds, _ in rows.values()]
    if times:
        print(f"{len(times)} models, median {statistics.median(times):.2f} s, longest {max(times):.2f} s")
    if options.save:
        options.save.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
