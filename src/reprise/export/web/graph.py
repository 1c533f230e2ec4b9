"""A page for any graph: `model.onnx`, and onnxruntime-web beside it, which computes it.

A browser loads neither from a disk, so the folder needs a server, of any kind: it holds all that the page asks for.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from reprise import verify
from reprise.errors import MissingDependency, SaveError
from reprise.export import onnx
from reprise.export.layers import plain
from reprise.export.web.page import LARGEST, NodeProcess, copied, scores_of, vocabulary_of, write_facts, write_page
from reprise.inputs import Calls
from reprise.interface import Interface, Port, StatePort
from reprise.lift import STATE_IN, STATE_OUT
from reprise.model import RecurrentModel
from reprise.sampling.symbols import is_of_symbols, symbol_count
from reprise.state import State
from reprise.tensors import DTYPES, Array

GRAPH, ENGINE = "model.onnx", "graph.js"
#: The parts of onnxruntime-web that compute on one thread of the processor.
RUNTIME = ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
_PACKAGE = Path("node_modules", "onnxruntime-web", "dist")
#: What an array of a browser holds.
_TYPES = ("bool", "float32", "float64", "string", *(f"{u}int{bits}" for u in ("", "u") for bits in (8, 16, 32, 64)))


def write(model: RecurrentModel, folder: Path) -> None:
    """Writes a page with the graph of `model` into an empty folder.

    Raises:
        SaveError: A page cannot give what the graph needs, or it is too large for a page.
        MissingDependency: onnxruntime-web is not installed.
        OSError: A file cannot be written.
    """
    facts = _described(model)
    runtime = _runtime()
    onnx.write(model, folder / GRAPH)
    if (size := (folder / GRAPH).stat().st_size) > LARGEST:
        raise SaveError(f"a graph of {size / 1e6:,.0f} MB is too large for a page ({LARGEST / 1e6:,.0f} MB)")
    for name in RUNTIME:
        shutil.copyfile(runtime / name, folder / name)
    copied(ENGINE, folder)
    write_page(folder, RUNTIME[0], ENGINE)
    write_facts(facts, folder)


def _runtime() -> Path:
    """The folder of onnxruntime-web: of this project or one around it, or for all of this machine."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / _PACKAGE / RUNTIME[0]).is_file():
            return folder / _PACKAGE
    if (npm := shutil.which("npm")) is not None:
        with suppress(OSError, subprocess.SubprocessError):
            root = subprocess.run([npm, "root", "-g"], capture_output=True, text=True, check=True, timeout=20)  # noqa: S603
            folder = Path(root.stdout.strip(), *_PACKAGE.parts[1:])
            if (folder / RUNTIME[0]).is_file():
                return folder
    raise MissingDependency(
        "this model is not a stack of standard layers, so its page runs on onnxruntime-web, which is not here: "
        "npm install onnxruntime-web"
    )


def _described(model: RecurrentModel) -> dict[str, Any]:
    """What the page knows of a graph."""
    face = model.interface
    _check(model)
    batch = verify.baked(face, "batch_axis") or 1
    chunk = verify.baked(face, "time_axis") or (1 if face.steppable else 0)
    vocabulary = vocabulary_of(model) if chunk == 1 else None
    symbols = 0 if vocabulary is None else symbol_count(model)
    first = model.initial_state(batch)
    return {
        "title": f"{model.stored.path.name}, {model.stored.format}",
        "chunk": chunk,
        "before": STATE_IN,
        "after": STATE_OUT,
        "first": model.vocabulary.first if model.vocabulary is not None else 0,
        "inputs": [_input(p, batch, chunk, symbols) for p in face.inputs],
        "outputs": [{"name": p.name, "batch": 0 if p.rows is not None else p.batch_axis} for p in face.outputs],
        "states": [_state(p.name, p.batch_axis, p.dtype, first[p.name]) for p in face.states],
        "vocabulary": vocabulary,
        "whole": all(p.dtype.startswith(("int", "uint")) for p in face.inputs),
        "texts": all(p.dtype == "string" for p in face.inputs),
        **scores_of(model),
    }


def _check(model: RecurrentModel) -> None:
    """Refuses what a page cannot give.

    Raises:
        SaveError: The message says what.
    """
    face = model.interface
    if (late := next((s.name for s in face.states if s.initial == "inputs"), None)) is not None:
        raise SaveError(f"state {late!r} starts from the inputs; a page starts states from numbers")
    if model.lifted.open:
        raise SaveError(f"setting {model.lifted.open[0]!r} has no value for inference; a page would have to ask for it")
    ports: tuple[Port | StatePort, ...] = (*face.inputs, *face.outputs, *face.states)
    for port in ports:
        if port.dtype not in _TYPES:
            raise SaveError(f"{port.name!r} is of type {port.dtype}, for which a browser has no array")
    for entry in face.inputs:
        free = [a for a, n in enumerate(entry.shape) if n is None and a not in (entry.time_axis, entry.batch_axis)]
        if free and entry.role != "lengths" and not (entry.role == "one-hot" and is_of_symbols(face)):
            raise SaveError(
                f"the file leaves the size of axis {free[0]} of input {entry.name!r} free; a page must know it"
            )


def _input(port: Port, batch: int, chunk: int, symbols: int) -> dict[str, Any]:
    kinds = {"lengths": "lengths"} | ({"tokens": "id", "one-hot": "one-hot"} if symbols else {})
    sizes = {port.batch_axis: batch, port.time_axis: chunk}
    if symbols and port.role == "one-hot":
        sizes[len(port.shape) - 1] = symbols
    return {
        "name": port.name,
        "type": port.dtype,
        "dims": [n if n is not None else sizes.get(axis, 1) for axis, n in enumerate(port.shape)],
        "time": port.time_axis,
        "batch": port.batch_axis,
        "kind": kinds.get(port.role, "numbers"),
    }


def _state(name: str, batch_axis: int | None, dtype: str, first: Array) -> dict[str, Any]:
    return {"name": name, "type": dtype, "dims": list(first.shape), "batch": batch_axis, "first": _first(first)}


def _first(array: Array) -> list[Any] | None:
    return array.ravel().tolist() if array.any() else None


# Reading back


def read(folder: Path, model: RecurrentModel) -> Page:
    """What `write` wrote, run by Node, whose numbers are those of a browser.

    Raises:
        MissingDependency: Node is not installed.
    """
    return Page(NodeProcess("graph_runner.js", folder), model)


class Page:
    """A graph in Node, with the interface and the vocabulary of `like`."""

    def __init__(self, node: NodeProcess, like: RecurrentModel) -> None:
        self._node, self._like = node, like
        self.vocabulary = like.vocabulary
        self.interface: Interface = plain(like.interface)
        self._calls = Calls(self.interface)

    def initial_state(self, batch: int = 1, inputs: Any = None) -> State:  # noqa: ARG002 - none starts from inputs
        """That of the page, for so many rows."""
        begun = self._like.initial_state(batch)
        own = self._unpacked(self._node.answer(None), {s.name: s.dtype for s in self.interface.states})
        return begun.replace({name: np.broadcast_to(array, begun[name].shape) for name, array in own.items()})

    def run(
        self,
        inputs: Mapping[str, Array],
        state: State | None = None,
        settings: Mapping[str, float | int | bool] | None = None,  # noqa: ARG002 - all are built in
    ) -> tuple[dict[str, Array], State]:
        """The outputs of a whole sequence, and the state after it."""
        face = self.interface
        feeds, _ = self._calls.checked(inputs, {p.name for p in face.inputs})
        state = state or self.initial_state()
        asked = {
            "inputs": {p.name: _packed(feeds[p.name], p.dtype) for p in face.inputs},
            "state": {s.name: _packed(state[s.name], s.dtype) for s in face.states},
        }
        found = self._node.answer(asked)
        outputs = self._unpacked(found["outputs"], {p.name: p.dtype for p in face.outputs})
        return outputs, state.replace(self._unpacked(found["state"], {s.name: s.dtype for s in face.states}))

    def _unpacked(self, found: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, Array]:
        return {name: _array(found[name], dtype) for name, dtype in types.items()}


def _packed(array: Array, dtype: str) -> list[Any]:
    if dtype == "string":
        return [dtype, list(array.shape), [_text(one) for one in array.ravel().tolist()]]
    raw = np.ascontiguousarray(array, DTYPES[dtype]).tobytes()
    return [dtype, list(array.shape), base64.b64encode(raw).decode()]


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _array(found: Any, dtype: str) -> Array:
    _, sizes, data = found
    if dtype == "string":
        return np.array(data, object).reshape(sizes)
    return np.frombuffer(base64.b64decode(data), DTYPES[dtype]).reshape(sizes)
