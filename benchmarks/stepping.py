"""Single steps and sampled symbols, beside others in turns: `python benchmarks/stepping.py [--rounds 5] [--save FILE]`.

Models of random weights over 65 symbols, one-hot in, logits out. A step carries its state into the next. Beside
`model.step` stand:

- ONNX Runtime on the file that `reprise export` writes,
- the cells of `torch.nn`, where `--torch PYTHON` names an interpreter that has PyTorch,
- TensorFlow's `session.run` on the checkpoint that `reprise export --to saver` writes, where TensorFlow is installed,
- a product of a vector and a matrix of as many numbers as the weights, which reads them once.

All with the same number of threads.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import reprise
from reprise import blas, stack
from reprise.formats import StoredModel
from reprise.interface import Interface, Port, StatePort
from reprise.model import RecurrentModel
from reprise.vocabulary import Vocabulary

CASES = {"lstm 128": ("LSTM", 1, 128), "lstm 500": ("LSTM", 1, 500), "lstm 1024": ("LSTM", 1, 1024)}
CASES |= {"lstm 2×512": ("LSTM", 2, 512), "gru 512": ("GRU", 1, 512)}
BATCHES, THREADS, SYMBOLS = (1, 16, 64), (1, 2), 65
#: The case that is sampled, and stepped by TensorFlow.
SAMPLED = "lstm 500"

TORCH = """
import sys, time, statistics, torch
kind, layers, units, batch, threads, steps = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(threads)
cell = {"LSTM": torch.nn.LSTMCell, "GRU": torch.nn.GRUCell}[kind]
cells = [cell(65 if k == 0 else units, units) for k in range(layers)]
out, x = torch.nn.Linear(units, 65), torch.eye(65)[:1].repeat(batch, 1)
states = [torch.zeros(batch, units) if kind == "GRU" else (torch.zeros(batch, units),) * 2 for _ in cells]
with torch.inference_mode():
    times = []
    for _ in range(steps):
        began, value = time.perf_counter(), x
        for k, one in enumerate(cells):
            states[k] = one(value, states[k])
            value = states[k] if kind == "GRU" else states[k][0]
        out(value)
        times.append(time.perf_counter() - began)
print(torch.__version__, statistics.median(times))
"""

TENSORFLOW = """
import sys, time, statistics
import numpy as np
import tensorflow as tf
tf1 = tf.compat.v1
tf1.disable_eager_execution()
prefix, threads, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
config = tf1.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads)
with tf1.Session(config=config) as session:
    saver, times = tf1.train.import_meta_graph(prefix + ".meta"), []
    saver.restore(session, prefix)
    meta = tf1.MetaGraphDef()
    meta.ParseFromString(open(prefix + ".meta", "rb").read())
    known = meta.signature_def["step"]
    fed = {k: v.name for k, v in known.inputs.items()}
    got = {k: v.name for k, v in known.outputs.items()}
    values = {}
    for k, v in known.inputs.items():
        sizes = [d.size if d.size > 0 else 1 for d in v.tensor_shape.dim]
        values[k] = np.zeros(sizes, tf.as_dtype(v.dtype).as_numpy_dtype)
    for _ in range(steps):
        began = time.perf_counter()
        found = session.run(got, {fed[k]: v for k, v in values.items()})
        times.append(time.perf_counter() - began)
        values |= {k: v for k, v in found.items() if k in values}
print(tf.__version__, statistics.median(times))
"""


def model(kind: str, layers: int, units: int, threads: int) -> RecurrentModel:
    """A model of random weights: ids [N, T] → logits [N, T, 65]."""
    random, gates = np.random.default_rng(0), len(stack.GATES[kind])
    names = ("h", "c") if kind == "LSTM" else ("h",)
    made: list[stack.StackLayer] = [stack.StackOneHot(SYMBOLS)]
    ports = []
    for k in range(layers):
        shapes = [(gates * units, made[-1].width), (gates * units, units), (gates * units,), (gates * units,)]
        weights = [(random.standard_normal(s, np.float32) / np.float32(units**0.5)) for s in shapes]
        parts = {name: stack.StatePart(f"layer{k}.{name}", 0) for name in names}
        activations = ("Sigmoid", "Tanh", "Tanh")[: len(names) + 1]
        made.append(stack.StackRecurrent(kind, k, *weights, activations, parts, reset_after=kind == "GRU"))
        ports += [StatePort(f"layer{k}.{n}", "", "", None, "float32", (None, units), 0, "zeros") for n in sorted(names)]
    kernel = random.standard_normal((units, SYMBOLS), np.float32) / np.float32(units**0.5)
    made.append(stack.StackDense(layers, kernel, np.zeros(SYMBOLS, np.float32)))
    source = Port("x", None, "int32", (None, None), 1, 0, "tokens")
    target = Port("logits", None, "float32", (None, None, SYMBOLS), 1, 0, "logits")
    face = Interface((source,), (target,), tuple(ports), (), steppable=True, why_not="", evidence=())
    lifted = stack.lift_stack(stack.Stack(tuple(made), {"logits": layers + 1}), face)
    symbols = Vocabulary(tuple(map(chr, range(32, 32 + SYMBOLS))))
    return RecurrentModel(
        StoredModel(Path("random"), "random", "", None), lambda _: lifted, lambda: None, symbols, threads
    )


def median_of(call: Callable[[], Any], seconds: float = 0.15) -> float:
    """The median seconds of a call, after a few that do not count."""
    for _ in range(3):
        call()
    times, end = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def stepped(made: RecurrentModel, batch: int) -> Callable[[], Any]:
    """One step of a model, which carries its state."""
    ids, held = np.zeros(batch, np.int32), [made.initial_state(batch)]

    def step() -> None:
        held[0] = made.step(ids, held[0])[1]

    return step


def session_step(path: Path, batch: int, threads: int) -> Callable[[], Any]:
    """One step of an exported file on ONNX Runtime, which carries its state."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    feeds = {
        i.name: np.zeros(
            [batch, 1] if i.name == "x" else [batch, i.shape[1]], np.int32 if i.name == "x" else np.float32
        )
        for i in session.get_inputs()
    }

    def step() -> None:
        found = dict(zip(names, session.run(names, feeds), strict=True))
        feeds.update({k.replace("state_out.", "state_in."): v for k, v in found.items() if k.startswith("state_out.")})

    return step


def reading(made: RecurrentModel, threads: int) -> Callable[[], Any]:
    """A product that reads as many numbers as the model has weights."""
    width = 512
    size = sum(array.size for array in made.lifted.weights.values())
    matrix, vector = np.ones((size // width, width), np.float32), np.ones(width, np.float32)

    def product() -> None:
        with blas.Limit(threads):
            matrix.dot(vector)

    return product


def other(python: str, program: str, *arguments: object) -> tuple[str, float]:
    """The version of a rival in a process of its own, and the median seconds of its step."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [python, "-c", program, *map(str, arguments)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.split()
    return found[-2], float(found[-1])


def sampled(made: RecurrentModel, texts: int, length: int = 200) -> float:
    """Seconds for one symbol of each of so many texts."""
    made.sample(2)
    began = time.perf_counter()
    for _ in made.stream(length, seed=1, samples=texts):
        pass
    return (time.perf_counter() - began) / length


def contestants(name: str, batch: int, threads: int, options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Seconds of one step of each, and for the model that is sampled those of a symbol."""
    made = model(*CASES[name], threads)
    fewer = {p: made.with_precision(p, largest_drift=math.inf) for p in ("int8", "int4")} if batch == 1 else {}
    found = {
        "reprise": median_of(stepped(made, batch)),
        **{f"reprise {p}": median_of(stepped(one, batch)) for p, one in fewer.items()},
        "onnxruntime": median_of(session_step(folder / f"{name}.onnx", batch, threads)),
        "reading the weights": median_of(reading(made, threads)),
    }
    if options.torch:
        found["torch"] = other(options.torch, TORCH, *CASES[name], batch, threads, 300)[1]
    if name == SAMPLED:
        found["reprise, sampled"] = sampled(made, batch)
        found |= {f"reprise {p}, sampled": sampled(one, batch) for p, one in fewer.items()}
    if (folder / "saver").exists() and name == SAMPLED and batch == 1:
        found["session.run"] = other(sys.executable, TENSORFLOW, folder / "saver" / "model.ckpt", threads, 500)[1]
    return found


def versions(options: argparse.Namespace, *, tensorflow: bool) -> dict[str, str]:
    """What is measured."""
    found = {"python": platform.python_version(), **{n: version(n) for n in ("numpy", "onnxruntime")}}
    if options.torch:
        found["torch"] = other(options.torch, TORCH, "LSTM", 1, 8, 1, 1, 1)[0]
    if tensorflow:
        import tensorflow as tf

        found["tensorflow"] = tf.__version__
    return found


def processor() -> str:
    """Its name, where the system tells it."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{named[0] if named else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def main() -> None:
    """Prints the table."""
    options, load = _options(), os.getloadavg()[0]
    turns: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder, with_tensorflow = Path(place), find_spec("tensorflow") is not None
        for name in options.models:
            reprise.export(model(*CASES[name], 2), folder / f"{name}.onnx")
        if with_tensorflow and SAMPLED in options.models:
            reprise.export(model(*CASES[SAMPLED], 2), folder / "saver", to="saver")
        for _ in range(options.rounds):
            for name, batch, threads in itertools.product(options.models, BATCHES, THREADS):
                row = contestants(name, batch, threads, options, folder)
                turns.setdefault(f"{name}, batch {batch}, threads {threads}", []).append(row)
    medians = {k: {n: statistics.median(row[n] for row in rows) for n in rows[0]} for k, rows in turns.items()}
    for case, row in medians.items():
        print(f"{case:34}" + "  ".join(f"{name} {1e6 * seconds:.0f}" for name, seconds in row.items()))
    print("microseconds of one step")
    if options.save:
        known = {"date": datetime.now(UTC).date().isoformat(), "processor": processor(), "load_before": load}
        known |= {"versions": versions(options, tensorflow=with_tensorflow), "step_s": medians}
        options.save.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--torch", metavar="PYTHON", help="an interpreter that has PyTorch")
    parser.add_argument("--save", type=Path, help="write the results as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
