"""A folder that opens in a browser: a page that samples while one watches what the units do, without any dependency.

The page computes the layers in JavaScript of its own (`engine.js`), so it needs no network and no server: it opens from
a disk as well. The weights are text in `model.js`, because a page that is opened from a disk may read no other file.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import weakref
from collections.abc import Iterator
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from reprise.cells import reordered
from reprise.errors import MissingDependency, SaveError, VerificationError
from reprise.export.adapting import Adapted, States
from reprise.export.layers import seen, stack_of
from reprise.export.onnx import first_states
from reprise.model import RecurrentModel
from reprise.sampling.symbols import is_of_symbols, symbol_count
from reprise.stack import GATES, Features, Layer, Recurrent, Stack, to_json, to_tensors
from reprise.stack.ports import as_rows
from reprise.tensors import Array
from reprise.vocabulary import Vocabulary

PAGE, MODEL = "index.html", "model.js"
_PARTS = (PAGE, "page.js", "engine.js")
#: The order of the gates in a kernel, as the functions of `engine.js` have it.
ORDERS = {"LSTM": "iofc", "GRU": "zrc", "RNN": "c"}
#: A string of a browser holds half a gigabyte.
LARGEST = 350_000_000
#: Between the 32-bit numbers that it keeps, JavaScript computes in 64 bits; over the steps the two ways drift apart.
TOLERANCE = 1e-4


def write(model: RecurrentModel, folder: Path) -> None:
    """Writes a page with the layers of `model` into an empty folder.

    Raises:
        SaveError: It is no stack of layers, or its weights are too many for a page.
        OSError: A file cannot be written.
    """
    layers = stack_of(model)
    arrays, facts = _described(model, layers)
    if (size := sum(array.nbytes for array in arrays)) > LARGEST:
        raise SaveError(f"{size / 1e6:,.0f} MB of weights are too many for a page ({LARGEST / 1e6:,.0f} MB)")
    for name in _PARTS:
        (folder / name).write_bytes(_own(name).read_bytes())
    with (folder / MODEL).open("w", encoding="utf-8") as file:
        text = json.dumps(facts, ensure_ascii=False)
        file.write(f"/* {layers}. Written by Reprise. */\nconst MODEL = {text};\n".replace("</", "<\\/"))
        file.write('MODEL.weights = "')
        file.write(base64.b64encode(b"".join(array.tobytes() for array in arrays)).decode())
        file.write('";\nif (typeof module === "object") module.exports = { MODEL };\n')


def _own(name: str) -> Any:
    return resources.files(__package__).joinpath(name)


def _described(model: RecurrentModel, layers: Stack) -> tuple[list[Array], dict[str, Any]]:
    """The arrays, one after the other, and what the page knows beside them."""
    arrays: list[Array] = []
    facts = to_json(layers)
    held = to_tensors(layers)
    first = first_states(model)
    place = 0
    for i, (layer, said) in enumerate(zip(layers.layers, facts["layers"], strict=True)):
        own = {name.rpartition(".")[2]: array for name, array in held.items() if name.startswith(f"layers.{i}.")}
        said |= {"title": f"layer {i}: {layer}", "arrays": {}}
        for name, array in _laid_out(layer, own, model, first):
            arrays.append(np.ascontiguousarray(array, "<f4"))
            said["arrays"][name] = [place, place + array.size]
            place += array.size
        if isinstance(layer, Recurrent):
            said["states"] = list(layer.parts)
    scores = next((p for role in ("logits", "probabilities") for p in model.interface.outputs if p.role == role), None)
    facts |= {
        "title": str(layers),
        "vocabulary": _symbols(model, layers),
        "scores": None if scores is None else scores.name,
        "probabilities": scores is not None and scores.role == "probabilities",
    }
    return arrays, facts


def _laid_out(
    layer: Layer, own: dict[str, Array], model: RecurrentModel, first: dict[str, Array]
) -> Iterator[tuple[str, Array]]:
    """The arrays of a layer: kernels have a row for each number that they give."""
    for name, array in own.items():
        if not isinstance(layer, Recurrent):
            yield name, array.T if name == "kernel" else array
        else:
            yield name, reordered(array.T, GATES[layer.kind], ORDERS[layer.kind]).T
    if isinstance(layer, Recurrent):
        for kind, part in layer.parts.items():
            if part.state in first:
                port = next(s for s in model.interface.states if s.name == part.state)
                row = as_rows(port, first[part.state])[0]
                yield f"first_{kind}", row[part.start : part.start + layer.width]


def _symbols(model: RecurrentModel, layers: Stack) -> dict[str, Any] | None:
    """The vocabulary; of a model of symbols without one, its ids; None where it reads or gives something else."""
    if isinstance(layers.layers[0], Features) or not is_of_symbols(model.interface):
        return None
    if model.vocabulary is not None:
        return model.vocabulary.to_json()
    return Vocabulary(tuple(map(str, range(symbol_count(model)))), "words").to_json()


# Reading back


def read(folder: Path, model: RecurrentModel) -> Adapted:
    """What `write` wrote, run by Node, whose numbers are those of a browser.

    Raises:
        MissingDependency: Node is not installed.
    """
    node = shutil.which("node") or shutil.which("nodejs")
    if node is None:
        raise MissingDependency("Node is not installed, and without it what is written cannot be verified")
    layers = seen(model)
    program = _Node(node, folder, layers)
    return Adapted(program, layers, model, program.first)


class _Node:
    """A process that runs steps until it is forgotten."""

    def __init__(self, node: str, folder: Path, layers: Stack) -> None:
        self._layers = layers
        with resources.as_file(_own("runner.js")) as runner:
            command = [node, str(runner), str(folder.resolve())]
            self._process = subprocess.Popen(  # noqa: S603 - no shell, own files
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            self._asked([])  # it has read its files then
        weakref.finalize(self, _end, self._process)

    def __call__(self, entered: Array, states: States) -> tuple[dict[str, Array], States]:
        kinds = self._kinds()
        rows = [
            {
                "steps": steps.tolist(),
                "state": {i: {kind: states[i, kind][n].tolist() for kind in kinds[i]} for i in kinds},
            }
            for n, steps in enumerate(entered)
        ]
        answer = self._asked(rows)
        outputs = {
            name: np.asarray([[step[k] for step in row["outputs"]] for row in answer], np.float32)
            for k, name in enumerate(self._layers.outputs)
        }
        after = {
            (i, kind): np.asarray([row["state"][a][b] for row in answer], np.float32)
            for a, i in enumerate(kinds)
            for b, kind in enumerate(kinds[i])
        }
        return outputs, after

    def first(self) -> States:
        """What the page says a sequence starts from."""
        answer = self._asked(None)
        return {
            (i, kind): np.asarray(answer[a][b], np.float32)
            for a, (i, kinds) in enumerate(self._kinds().items())
            for b, kind in enumerate(kinds)
        }

    def _kinds(self) -> dict[int, tuple[str, ...]]:
        return {i: tuple(layer.parts) for i, layer in self._layers.recurrent()}

    def _asked(self, rows: list[Any] | None) -> Any:
        """What the process answers to rows of steps; without them, it tells the first state.

        Raises:
            VerificationError: It has ended.
        """
        process = self._process
        assert process.stdin is not None  # noqa: S101 - all three are pipes
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(rows) + "\n")
            process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise VerificationError(f"the page does not run: {process.stderr.read().strip()[-500:]}")
        return json.loads(line)


def _end(process: subprocess.Popen[str]) -> None:
    """Ends a process and closes what leads to it."""
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()
