"""Tries damaged files by the thousand, in processes of their own, so that nothing they do ends the campaign.

python -m tests.hostile.campaign [--count 10000] [--first 0] [--seeds FOLDER] [--report FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.hostile import seeds

GOOD = frozenset({"refused", "read"})
#: Cases for each process: a new one begins with the memory that it needs, and no more.
EACH = 250


def run(folder, first, count, report):
    """Tries `count` cases from `first` on; gives the findings. `folder` holds the seeds."""
    begin, end = first, first + count
    while begin < end:
        begin = _worked_off(folder, begin, min(EACH, end - begin), report)
    return [f for f in _lines(report) if "outcome" in f and f["outcome"] not in GOOD]


def _worked_off(folder, first, count, report):
    """Starts one process; gives the case to go on with, which is behind the one that ended it, if one did."""
    command = [sys.executable, "-m", "tests.hostile.worker", str(folder), str(first), str(count), str(report)]
    environment = os.environ | {
        "PYTHONWARNINGS": "error",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, check=False, timeout=None)
    lines = [line for line in _lines(report) if line.get("begins", -1) >= first]
    last = max((line["begins"] for line in lines), default=first)
    if done.returncode:
        what = f"the process ended with {done.returncode}: {done.stderr[-1500:]}"
        with report.open("a", encoding="utf-8") as out:
            out.write(json.dumps({"case": last, "outcome": "ended the process", "what": what}) + "\n")
    return last + 1


def _lines(report):
    if not report.exists():
        return []
    return [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=Path)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = options.seeds or Path(folder) / "seeds"
        if not place.exists():
            seeds.write_all(place)
        report = options.report or Path(folder) / "report"
        findings = run(place, options.first, options.count, report)
        outcomes = Counter(line["outcome"] for line in _lines(report) if "outcome" in line)
    sys.stdout.write(f"{dict(outcomes)}\n" + "".join(f"{json.dumps(finding)}\n" for finding in findings))


if __name__ == "__main__":
    main()
