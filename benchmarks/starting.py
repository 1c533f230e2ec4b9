"""From the command to the first training step: `python benchmarks/starting.py [--rounds 5] [--save FILE]`.

Starts `reprise train` as a user does and watches the run folder: the time of the first step is when it stands in
`history.jsonl`. So it has everything in it: Python, TensorFlow, the corpus, the graph that is saved, the checkpoint of
step 0 and the compilation. The first round, which also reads files into the memory of the system, does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import packages_distributions, version
from pathlib import Path
from pydoc_data.topics import topics

CASES = {"lstm 2×128": (2, 128), "lstm 2×512": (2, 512), "lstm 3×512": (3, 512)}  # layers, units


def main() -> None:
    """Prints the table."""
    options = _options()
    load, results = os.getloadavg()[0], []
    tensorflow = version(packages_distributions()["tensorflow"][0])
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus.txt")
        corpus.write_text("\n".join(topics.values()), encoding="utf-8")
        print(f"TensorFlow {tensorflow}, {os.cpu_count()} cores, load before the run {load:.1f}")
        print(f"{'model':14}{'median':>9}{'least':>9}{'most':>9}   seconds to the end of the first step")
        for name, (layers, units) in CASES.items():
            seconds = [
                first_step(corpus, Path(folder, f"{name}-{k}"), layers, units) for k in range(options.rounds + 1)
            ]
            found = {"median": statistics.median(seconds[1:]), "least": min(seconds[1:]), "most": max(seconds[1:])}
            results.append({"model": name, **found})
            print(f"{name:14}" + "".join(f"{value:9.2f}" for value in found.values()), flush=True)
    if options.save:
        record = {
            "date": datetime.now(UTC).date().isoformat(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "tensorflow": tensorflow,
            "load_before": load,
            "first_step_s": results,
        }
        options.save.write_text(json.dumps(record, indent=1) + "\n")


def first_step(corpus: Path, run: Path, layers: int, units: int) -> float:
    """Seconds from the start of the process until the first step is made."""
    sizes = ["--num-layers", str(layers), "--rnn-size", str(units)]
    command = [sys.executable, "-m", "reprise", "train", str(corpus), "--out", str(run), "--quiet", *sizes]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        history = run / "history.jsonl"
        while not (history.exists() and history.stat().st_size):
            if process.poll() is not None:
                sys.exit(process.communicate()[1])
            time.sleep(0.01)
        return time.perf_counter() - began
    finally:
        process.kill()
        process.communicate()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--save", type=Path, help="write the results as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
