"""Restores models of strangers from their files alone and holds them against TensorFlow, step by step.

    python benchmarks/strangers.py FOLDER [--steps 32] [--only REGEX]

FOLDER holds `zoo.json`, which says for each model what its author fed and fetched, and `items/NAME/`. For every item
that TensorFlow 1 saved: is the interface that of the author, how long does restoring take from process start, and do
carried steps from a random state agree with TensorFlow running the same graph? Needs the `tensorflow` extra.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import reprise
from reprise.errors import RepriseError
from reprise.interface import Port

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    items = [i for i in json.loads((options.folder / "zoo.json").read_text()) if i["format"].startswith("TF1")]
    print(f"{'model':28} {'restored':>9} {'interface':10} {'difference from TensorFlow':36} of a disturbance of 1e-7")
    for item in items:
        if re.search(options.only, item["name"]):
            print(_row(item, options.folder / "items" / item["name"], options.steps), flush=True)


def _row(item: dict[str, Any], folder: Path, steps: int) -> str:
    path = _path(folder)
    seconds = _restore_time(path)
    try:
        model = reprise.restore(path)
    except RepriseError as error:
        return f"{item['name']:28} {'refused':>9} {'':10} {'':36} {type(error).__name__}: {str(error)[:140]}"
    agreed = _interface(item["interface_truth"], model)
    difference, disturbed, count = _difference(model, path, steps)
    return f"{item['name']:28} {seconds:7.2f} s {agreed:10} {f'{difference:.1e} over {count} steps':36} {disturbed:.1e}"


def _path(folder: Path) -> Path:
    return next(iter(sorted(folder.glob("*.meta"))))


def _restore_time(path: Path) -> float:
    """Seconds from process start to a model that has made its first step, the best of three."""
    code = "import sys, reprise; reprise.restore(sys.argv[1])"
    times = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, str(path)], check=False, stderr=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return min(times)


def _interface(truth: dict[str, Any], model: reprise.RecurrentModel) -> str:
    """`same` where inputs, state pairs and outputs are those that the author fed and fetched."""
    found = model.interface
    outs = {s.source_out for s in found.states}
    states = all(s["out"] in outs for s in truth["states"]) and len(outs) == len(truth["states"])
    outputs = all(o["name"] in {p.tensor for p in found.outputs} for o in truth["outputs"])
    return "same" if states and outputs else "other"


def _difference(model: reprise.RecurrentModel, path: Path, steps: int) -> tuple[float, float, int]:
    """How far any output or state is from TensorFlow's over carried calls from a random state, and over how many steps.

    Beside it how far our own numbers move when the first state is disturbed by 1e-7, about one rounding: a model may be
    chaotic, and then no two programs agree better than that.
    """
    import tensorflow as tf

    tf1 = tf.compat.v1
    rng = np.random.default_rng(1)
    with tf.Graph().as_default() as graph, tf1.Session() as session:
        saver = tf1.train.import_meta_graph(str(path), clear_devices=True)
        saver.restore(session, str(path).removesuffix(".meta"))
        batch, length = _baked(model, graph)
        state = model.initial_state(batch)
        state = state.replace({k: v + rng.uniform(-0.05, 0.05, v.shape) for k, v in state.items()})
        fetches = [p.tensor for p in model.interface.outputs] + [s.source_out for s in model.interface.states]
        near = state.replace({k: v + 1e-7 * rng.standard_normal(v.shape) for k, v in state.items()})
        theirs, worst, moved, done = dict(state), 0.0, 0.0, 0
        while done < steps:
            feeds = {p.name: _drawn(p, model, batch, length, rng) for p in model.interface.inputs}
            outputs, state = model.run(feeds, state)
            other, near = model.run(feeds, near)
            fed = {p.tensor: feeds[p.name] for p in model.interface.inputs}
            fed.update({s.source_in: theirs[s.name] for s in model.interface.states})
            results = session.run(fetches, {graph.get_tensor_by_name(k): v for k, v in fed.items()})
            ours = [outputs[p.name] for p in model.interface.outputs] + list(state.values())
            worst = max([worst, *(float(np.abs(a - b).max()) for a, b in zip(ours, results, strict=True))])
            disturbed = [*other.values(), *near.values()]
            moved = max([moved, *(float(np.abs(a - b).max()) for a, b in zip(ours, disturbed, strict=True))])
            theirs = dict(zip(state, results[len(model.interface.outputs) :], strict=True))
            done += length
    return worst, moved, done


def _baked(model: reprise.RecurrentModel, graph: Any) -> tuple[int, int]:
    """The batch and length that the file bakes in, else 2 rows and single steps."""
    batch, length = 2, 1
    for port in model.interface.inputs:
        if port.time_axis is not None:
            shape = graph.get_tensor_by_name(port.tensor).shape.with_rank(len(port.shape)).as_list()
            length = shape[port.time_axis] or length
            batch = (shape[port.batch_axis] if port.batch_axis is not None else 1) or batch
    return batch, length


def _drawn(port: Port, model: reprise.RecurrentModel, batch: int, length: int, rng: np.random.Generator) -> np.ndarray:
    sizes = {port.time_axis: length, port.batch_axis: batch}
    shape = [n if n is not None else sizes.get(axis, batch) for axis, n in enumerate(port.shape)]
    if port.role == "lengths":
        return np.full(shape, length, port.dtype)
    if port.role == "tokens":
        return rng.integers(0, _width(model), shape).astype(port.dtype)
    return rng.uniform(0, 1, shape).astype(port.dtype)


def _width(model: reprise.RecurrentModel) -> int:
    scores = [p.shape[-1] for p in model.interface.outputs if p.role in ("logits", "probabilities")]
    return min(n for n in scores if n) if scores else 2


if __name__ == "__main__":
    main()
