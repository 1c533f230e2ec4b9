"""A page for a stack of layers, which it computes in JavaScript of its own (`engine.js`), without any dependency.

It needs no network and no server: it opens from a disk as well. The weights are text in `model.js`, because a page that
is opened from a disk may read no other file.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from reprise.cells import reordered
from reprise.errors import SaveError
from reprise.export.adapting import Adapted, States
from reprise.export.layers import apparent_stack
from reprise.export.onnx import first_state_rows
from reprise.export.web.page import LARGEST, NodeProcess, scores_of, vocabulary_of, write_facts, write_page
from reprise.model import RecurrentModel
from reprise.stack import GATES, Stack, StackFeatures, StackLayer, StackRecurrent, to_json, to_tensors
from reprise.stack.ports import as_rows
from reprise.tensors import Array

#: The order of the gates in a kernel, as the functions of `engine.js` have it.
ORDERS = {"LSTM": "iofc", "GRU": "zrc", "RNN": "c"}


def write(model: RecurrentModel, layers: Stack, folder: Path) -> None:
    """Writes a page with the layers of `model` into an empty folder.

    Raises:
        SaveError: Its weights are too many for a page.
        OSError: A file cannot be written.
    """
    arrays, facts = _described(model, layers)
    if (size := sum(array.nbytes for array in arrays)) > LARGEST:
        raise SaveError(f"{size / 1e6:,.0f} MB of weights are too many for a page ({LARGEST / 1e6:,.0f} MB)")
    write_page(folder)
    facts["weights"] = base64.b64encode(b"".join(array.tobytes() for array in arrays)).decode()
    write_facts(facts, folder)


def _described(model: RecurrentModel, layers: Stack) -> tuple[list[Array], dict[str, Any]]:
    """The arrays, one after the other, and what the page knows beside them."""
    arrays: list[Array] = []
    facts = to_json(layers)
    held = to_tensors(layers)
    first = first_state_rows(model)
    place = 0
    for i, (layer, entry) in enumerate(zip(layers.layers, facts["layers"], strict=True)):
        own = {name.rpartition(".")[2]: array for name, array in held.items() if name.startswith(f"layers.{i}.")}
        entry |= {"title": f"layer {i}: {layer}", "arrays": {}}
        for name, array in _laid_out(layer, own, model, first):
            arrays.append(np.ascontiguousarray(array, "<f4"))
            entry["arrays"][name] = [place, place + array.size]
            place += array.size
        if isinstance(layer, StackRecurrent):
            entry["states"] = list(layer.parts)
    of_symbols = not isinstance(layers.layers[0], StackFeatures)
    facts |= {
        "title": str(layers),
        "vocabulary": vocabulary_of(model) if of_symbols else None,
        "whole": of_symbols,
        **scores_of(model),
    }
    return arrays, facts


def _laid_out(
    layer: StackLayer, own: dict[str, Array], model: RecurrentModel, first: dict[str, Array]
) -> Iterator[tuple[str, Array]]:
    """The arrays of a layer: kernels have a row for each number that they give."""
    for name, array in own.items():
        if not isinstance(layer, StackRecurrent):
            yield name, array.T if name == "kernel" else array
        else:
            yield name, reordered(array.T, GATES[layer.kind], ORDERS[layer.kind]).T
    if isinstance(layer, StackRecurrent):
        for kind, part in layer.parts.items():
            if part.state in first:
                port = next(s for s in model.interface.states if s.name == part.state)
                row = as_rows(port, first[part.state])[0]
                yield f"first_{kind}", row[part.start : part.start + layer.width]


# Reading back


def read(folder: Path, model: RecurrentModel) -> Adapted:
    """What `write` wrote, run by Node, whose numbers are those of a browser.

    Raises:
        MissingDependency: Node is not installed.
    """
    layers = apparent_stack(model)
    program = _Program(NodeProcess("layers_runner.js", folder), layers)
    return Adapted(program, layers, model, program.first)


class _Program:
    """The layers of a page, for many rows and steps."""

    def __init__(self, node: NodeProcess, layers: Stack) -> None:
        self._node, self._layers = node, layers

    def __call__(self, entered: Array, states: States) -> tuple[dict[str, Array], States]:
        kinds = self._kinds()
        rows = [
            {
                "steps": steps.tolist(),
                "state": {i: {kind: states[i, kind][n].tolist() for kind in kinds[i]} for i in kinds},
            }
            for n, steps in enumerate(entered)
        ]
        answer = self._node.answer(rows)
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
        answer = self._node.answer(None)
        return {
            (i, kind): np.asarray(answer[a][b], np.float32)
            for a, (i, kinds) in enumerate(self._kinds().items())
            for b, kind in enumerate(kinds)
        }

    def _kinds(self) -> dict[int, tuple[str, ...]]:
        return {i: tuple(layer.parts) for i, layer in self._layers.recurrent()}
