"""Training speed against Keras and PyTorch: `python benchmarks/training.py [--quick] [--save FILE]`.

Each engine runs in a process of its own and they take turns, round after round, so that what else the machine does
meets all of them; the table has medians. Run it on an idle machine all the same: threads that wait for one another, as
PyTorch's do, lose most to neighbours. PyTorch and Keras are left out where they are not installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import os
import platform
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from training_engines import ENGINES, GATES, VOCABULARY, Case, serve

HEADLINE = Case("lstm", 2, 512, 50, 50)
CASES = (
    HEADLINE,
    *(
        Case(cell, layers, hidden, batch, 50)
        for cell, layers, hidden in (("lstm", 1, 128), ("lstm", 2, 256), ("lstm", 3, 512), ("gru", 2, 512))
        for batch in (16, 64)
    ),
)


def main() -> None:
    options = _options()
    engines = [engine for engine in ENGINES if importlib.util.find_spec(engine)]
    limit, load = matrix_product_limit(), os.getloadavg()[0]
    print(f"{_processor()}, {os.cpu_count()} cores, load before the run {load:.1f}")
    print(f"matrix products of 2048³ in NumPy: {limit:.0f} GFLOP/s\n")
    print(_line("case", ("chars/s", "Keras", "PyTorch", "× Keras", "× PyTorch", "GFLOP/s", "first step")))
    results = []
    for case in (HEADLINE,) if options.quick else CASES:
        if options.only in str(case):
            results.append(measure(case, engines, options.rounds, options.seconds))
            print(_row(results[-1]), flush=True)
    if results:
        print("\n" + ", ".join(results[0]["versions"].values()))
    if options.save:
        options.save.write_text(json.dumps(_record(limit, load, results), indent=1) + "\n")


def measure(case: Case, engines: list[str], rounds: int, seconds: float) -> dict[str, Any]:
    """Characters per second of every engine: the median over rounds, each of which lasts about `seconds` per engine."""
    context = multiprocessing.get_context("spawn")
    pipes, started, processes = {}, {}, []
    for engine in engines:  # one after the other: the time of the first step is measured too
        pipes[engine], theirs = context.Pipe()
        processes.append(context.Process(target=serve, args=(engine, case, theirs), daemon=True))
        processes[-1].start()
        theirs.close()  # so that a process that dies ends the wait for it
        started[engine] = pipes[engine].recv()
    for pipe in pipes.values():
        _seconds(pipe, 1)
    steps = {engine: max(1, round(2 * seconds / _seconds(pipe, 2))) for engine, pipe in pipes.items()}
    speeds: dict[str, list[float]] = {engine: [] for engine in engines}
    for _ in range(rounds):
        for engine, pipe in pipes.items():
            speeds[engine].append(steps[engine] * case.batch * case.length / _seconds(pipe, steps[engine]))
    for pipe in pipes.values():
        pipe.send(0)
    for process in processes:
        process.join()
    return {
        "case": str(case),
        "chars_per_s": {engine: statistics.median(values) for engine, values in speeds.items()},
        "ratio": {
            other: statistics.median(a / b for a, b in zip(speeds["reprise"], speeds[other], strict=True))
            for other in engines
        },
        "spread": {engine: [min(values), max(values)] for engine, values in speeds.items()},
        "gflop_per_s": statistics.median(speeds["reprise"]) * flop_per_char(case) / 1e9,
        "first_step_s": {engine: first for engine, (_, first) in started.items()},
        "versions": {engine: version for engine, (version, _) in started.items()},
    }


def flop_per_char(case: Case) -> float:
    """What the matrix products that Reprise computes cost per character, gradients of both factors included.

    The inputs of the first layer are rows of a table of V products, so they cost V rows and not N*T.
    """
    gates = GATES[case.cell]
    square = case.hidden * gates * case.hidden
    table = square * VOCABULARY / (case.batch * case.length)
    products = square * (2 * case.layers - 1) + table + case.hidden * VOCABULARY
    return 3 * 2 * products


def matrix_product_limit(size: int = 2048, rounds: int = 7) -> float:
    """GFLOP/s of NumPy's float32 matrix product, the best of a few."""
    a = np.ones((size, size), np.float32)
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        a @ a
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds) / 1e9


def _seconds(pipe: Any, steps: int) -> float:
    pipe.send(steps)
    return float(pipe.recv())


def _row(result: dict[str, Any]) -> str:
    speed, ratio = result["chars_per_s"], result["ratio"]
    return _line(
        result["case"],
        (
            *(f"{speed[e]:,.0f}" if e in speed else "-" for e in ENGINES),
            *(f"{ratio[e]:.2f}" if e in ratio else "-" for e in ("keras", "torch")),
            f"{result['gflop_per_s']:.0f}",
            f"{result['first_step_s']['reprise']:.1f} s",
        ),
    )


def _line(case: str, numbers: tuple[str, ...]) -> str:
    return f"{case:26}" + "".join(f"{number:>11}" for number in numbers)


def _record(limit: float, load: float, results: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_before": load,
        "matrix_product_gflop_per_s": limit,
        "results": results,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only 2×512 LSTM, N 50, T 50")
    parser.add_argument("--only", default="", help="only cases whose name contains this, such as 'lstm 1×128'")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="per engine and round")
    parser.add_argument("--save", type=Path, help="write the results as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
