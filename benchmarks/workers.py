"""What a second worker adds: `python benchmarks/workers.py [--workers 2] [--save FILE]`.

One worker on one core is compared with several on a core each, every worker with the same batch, so that twice the
workers train on twice the characters per step. The efficiency is the speed of all over that of one times their number;
what is missing to 1 is the exchange of gradients, and what the cores share. Runs take turns; the time of a step is the
difference between a long and a short run, so that neither start nor compilation counts.
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
from itertools import islice
from pathlib import Path
from pydoc_data.topics import topics

SHORT = 4  # steps; a long run has so many more that the start of a process does not count
SEQUENCE = 50


def main() -> None:
    """Prints the table."""
    options = _options()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < options.workers:
        sys.exit(f"{options.workers} workers need a core each; this machine gives {len(cores)}")
    results = []
    print(f"{'model':22}{'1 worker':>12}{f'{options.workers} workers':>12}{'efficiency':>12}   characters/s")
    for size, layers, steps in ((128, 1, 500), (512, 2, 40)):
        speeds: dict[int, list[float]] = {1: [], options.workers: []}
        for _ in range(options.rounds):
            for workers, measured in speeds.items():
                measured.append(speed(workers, size, layers, cores[:workers], options.batch, steps))
        one, many = (statistics.median(values) for values in speeds.values())
        results.append(
            {"model": f"lstm {layers}×{size}", "one": one, "many": many, "efficiency": many / one / options.workers}
        )
        print(f"{results[-1]['model']:22}{one:12,.0f}{many:12,.0f}{results[-1]['efficiency']:12.2f}", flush=True)
    if options.save:
        record = {"cores": os.cpu_count(), "python": platform.python_version(), "workers": options.workers}
        options.save.write_text(json.dumps({**record, "batch": options.batch, "results": results}, indent=1) + "\n")


def speed(workers: int, size: int, layers: int, cores: list[int], batch: int, steps: int) -> float:
    """Characters per second of all workers together."""
    short, long = (_run(n, workers, size, layers, cores, batch) for n in (SHORT, SHORT + steps))
    return workers * batch * SEQUENCE * steps / (long - short)


def _run(steps: int, workers: int, size: int, layers: int, cores: list[int], batch: int) -> float:
    """Seconds of one run of `reprise train` on these cores."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus.txt")
        corpus.write_text("\n".join(islice(topics.values(), 80)), encoding="utf-8")
        command = [sys.executable, "-m", "reprise", "train", str(corpus), "--out", f"{folder}/run", "--quiet"]
        numbers = {
            "workers": workers,
            "rnn-size": size,
            "num-layers": layers,
            "batch-size": batch,
            "seq-length": SEQUENCE,
            "max-steps": steps,
            "checkpoint-every": 10**6,
            "sample-length": 0,
            "val-frac": 0,
        }
        command += [word for name, value in numbers.items() for word in (f"--{name}", str(value))]
        began = time.perf_counter()
        pinned = lambda: os.sched_setaffinity(0, cores)  # noqa: E731 - runs in the child, before the program
        run = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=pinned)
        if run.returncode:
            sys.exit(run.stderr)
        return time.perf_counter() - began


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=50, help="streams of each worker")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", type=Path, help="write the results as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
