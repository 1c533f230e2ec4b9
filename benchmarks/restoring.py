"""From a checkpoint to characters: cold start and steps, against TensorFlow on the same files in the same run.

    python benchmarks/restoring.py [--rounds 5] [--steps 2000] [--save FILE]

A character LSTM of 500 units over 65 symbols is trained for a few steps and saved as TensorFlow's Saver does. Measured
in turns: seconds from process start to the first character, of `reprise sample` and of a script that imports the
MetaGraph, restores and runs one step; then single steps at batch 1, of `model.step` and of a `session.run` loop. Beside
the steps stands the limit of the memory: bytes of weights that a step must read / measured bandwidth. Needs the
`tensorflow` extra. Python's compiled modules must be kept (no PYTHONDONTWRITEBYTECODE), as they are for any user.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import platform
import pydoc_data.topics
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

import reprise

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
SYMBOLS, UNITS = 65, 500

TENSORFLOW = """
import sys, time
import numpy as np
import tensorflow as tf
tf1 = tf.compat.v1
tf1.disable_eager_execution()
prefix, steps, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
config = tf1.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads)
with tf1.Session(config=config) as session:
    saver = tf1.train.import_meta_graph(prefix + ".meta")
    saver.restore(session, prefix)
    states = ["state/layer0.c:0", "state/layer0.h:0"]
    fetches = ["probabilities:0", "while/Exit_2:0", "while/Exit_3:0"]
    c = h = np.zeros([1, 500], "float32")
    p, c, h = session.run(fetches, {"tokens:0": [[0]], states[0]: c, states[1]: h})
    sys.stdout.write(chr(65 + int(p.ravel().argmax()) % 26)); sys.stdout.flush()
    run = session.make_callable(fetches, ["tokens:0", *states]) if steps else None
    for loop in ("run", "callable") if steps else ():
        times = []
        for _ in range(10):
            began = time.perf_counter()
            for _ in range(steps // 10):
                if loop == "run":
                    p, c, h = session.run(fetches, {"tokens:0": [[int(p.argmax()) % 65]], states[0]: c, states[1]: h})
                else:
                    p, c, h = run(np.asarray([[int(p.argmax()) % 65]]), c, h)
            times.append((time.perf_counter() - began) / (steps // 10))
        sys.stderr.write(f"{loop} {sorted(times)[5]}\\n")
"""


def text() -> str:
    """Text of exactly 65 symbols, which every machine has."""
    whole = "\n".join(pydoc_data.topics.topics[k] for k in sorted(pydoc_data.topics.topics))
    kept = {symbol for symbol, _ in collections.Counter(whole).most_common(SYMBOLS)}
    return "".join(symbol for symbol in whole if symbol in kept)


def train(folder: Path) -> Path:
    """A checkpoint of the size that is measured."""
    corpus = folder / "corpus.txt"
    corpus.write_text(text()[:200_000])
    options = "--rnn-size 500 --num-layers 1 --embedding-size 0 --batch-size 10 --seq-length 25 --max-steps 20 --quiet"
    command = [sys.executable, "-m", "reprise", "train", str(corpus), "--out", str(folder / "run"), *options.split()]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return folder / "run" / "model.ckpt-20"


def first_character(command: list[str]) -> float:
    """Seconds from the start of a process to the first byte on its standard output."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        if not process.stdout.read(1):
            raise SystemExit(f"{command[:4]} printed nothing")
        took = time.perf_counter() - began
        process.stdout.read()
    return took


def step_seconds(prefix: Path, steps: int) -> float:
    """Seconds for one `model.step`, the state carried and the next symbol chosen from the result."""
    model = reprise.restore(prefix)
    outputs, state = model.step(np.zeros(1, np.int32))
    times = []
    for _ in range(10):
        began = time.perf_counter()
        for _ in range(steps // 10):
            outputs, state = model.step(np.asarray([int(outputs["probabilities"].argmax()) % SYMBOLS], np.int32), state)
        times.append((time.perf_counter() - began) / (steps // 10))
    return statistics.median(times)


def tensorflow_step_seconds(prefix: Path, steps: int, threads: int) -> dict[str, float]:
    """Seconds for one step through `session.run` and through a callable made beforehand."""
    command = [sys.executable, "-c", TENSORFLOW, str(prefix), str(steps), str(threads)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line.split() for line in result.stderr.splitlines() if line.startswith(("run ", "callable "))]
    return {name: float(seconds) for name, seconds in lines}


def bandwidth() -> float:
    """Bytes per second at which one core reads an array of the size of the weights, as a matrix times a vector does."""
    weights = np.ones((UNITS, 4 * UNITS), np.float32)
    column = np.ones(4 * UNITS, np.float32)
    best = float("inf")
    for _ in range(200):
        began = time.perf_counter()
        weights @ column
        best = min(best, time.perf_counter() - began)
    return weights.nbytes / best


def main() -> None:
    """Prints the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        prefix = train(Path(folder))
        report = measure(prefix, options.rounds, options.steps)
    print("\n".join(f"{name:58} {value}" for name, value in report.items()))
    if options.save:
        options.save.write_text(json.dumps(report, indent=1) + "\n")


def measure(prefix: Path, rounds: int, steps: int) -> dict[str, object]:
    """All figures; every round runs each contestant once, in turns."""
    ours, theirs, step, run, call = [], [], [], [], []
    for _ in range(rounds):
        ours.append(
            first_character([sys.executable, "-m", "reprise", "sample", str(prefix), "--length", "1", "--seed", "1"])
        )
        theirs.append(first_character([sys.executable, "-c", TENSORFLOW, str(prefix), "0", "1"]))
        step.append(step_seconds(prefix, steps))
        loops = [tensorflow_step_seconds(prefix, steps // 4, threads) for threads in (1, 2)]
        run.append(min(loop["run"] for loop in loops))
        call.append(min(loop["callable"] for loop in loops))
    speed = bandwidth()
    read = 4 * (UNITS * 4 * UNITS + 4 * UNITS + 4 * UNITS + UNITS * SYMBOLS + SYMBOLS)
    median = statistics.median
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "versions": ", ".join(f"{n} {version(n)}" for n in ("tensorflow_cpu", "onnxruntime", "numpy")),
        "cold start to first character, reprise sample (s)": round(median(ours), 3),
        "cold start to first character, TensorFlow script (s)": round(median(theirs), 3),
        "ratio (pairwise median)": round(median(t / o for t, o in zip(theirs, ours, strict=True)), 2),
        "one step, reprise (ms)": round(1000 * median(step), 4),
        "one step, session.run loop (ms)": round(1000 * median(run), 4),
        "one step, session callable (ms)": round(1000 * median(call), 4),
        "ratio to session.run (pairwise median)": round(median(t / o for t, o in zip(run, step, strict=True)), 2),
        "ratio to a callable (pairwise median)": round(median(t / o for t, o in zip(call, step, strict=True)), 2),
        "weights read in a step (MB)": round(read / 1e6, 2),
        "bandwidth of one core on such a matrix (GB/s)": round(speed / 1e9, 1),
        "one step at that limit (ms)": round(1000 * read / speed, 4),
        "reprise step / limit": round(median(step) / (read / speed), 2),
    }


if __name__ == "__main__":
    main()
