"""What every format gives: a `StoredModel`, the file's content as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reprise.files import Original
from reprise.graph import Graph
from reprise.layers import Layers
from reprise.tensors import Array, Tensor
from reprise.vocabulary import Vocabulary
from reprise.weights.keras import KerasFacts

#: How the methods of signatures end that are served; the one of this name is served where none is asked for.
_SERVED = ("/predict", "/classify", "/regress")
_DEFAULT = "serving_default"


@dataclass(frozen=True, slots=True)
class Signature:
    """A named set of inputs and outputs that the file itself declares: role → tensor name, such as `x:0`."""

    name: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    method: str = ""


@dataclass(frozen=True, slots=True)
class Memory:
    """A tensor that a model keeps from call to call, in a file that says so: where it enters and leaves the graph.

    Attributes:
        taken: The input that takes it.
        given: The output that gives the next one.
        first: What the file holds.
    """

    taken: str
    given: str
    first: Array


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A saved model as data. Nothing is interpreted, no weight is loaded.

    Attributes:
        path: What the user named.
        format: The name of the format, as users see it.
        evidence: Why it is this format, one clause.
        graph: The graph, or None where the file has layers, weights only, or several graphs to choose from.
        entries: Signatures and functions by name, each as a graph, where a file has these in the place of one graph;
            those that the file declares for callers come first.
        weights: Stored tensors by the name under which the file holds them.
        variable_names: Variable node of the graph → the name in `weights` that belongs to it. Nodes that are
            not in the saver, or whose tensor is missing from the files, are absent.
        signatures: Those that the file declares.
        vocabulary: The one that travels in the file or lies beside it, or None.
        vocabulary_source: Where it was found.
        files: The files read, for messages and for `inspect`.
        notes: Facts worth telling (a stale `checkpoint` file, moving averages present, a step number chosen).
        metadata: Anything else the file says of itself (producer version, tags).
        obstacle: Why the file gives no model that runs, and what it lacks, as a sentence; empty where it gives one.
        keras: What a file of weights of Keras says besides them, or None.
        layers: The model as layers with their weights, or None.
        originals: Those files as they were when they were read.
        foreign: What only this format's own lifter understands (an ONNX model, for `format == "onnx"`).
        memory: What a call of `foreign` changes for the next one, where the file itself says so.
    """

    path: Path
    format: str
    evidence: str
    graph: Graph | None
    entries: Mapping[str, Graph] = field(default_factory=dict)
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    variable_names: Mapping[str, str] = field(default_factory=dict)
    signatures: tuple[Signature, ...] = ()
    vocabulary: Vocabulary | None = None
    vocabulary_source: str = ""
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    obstacle: str = ""
    keras: KerasFacts | None = None
    layers: Layers | None = None
    originals: tuple[Original, ...] = ()
    foreign: Any = None
    memory: tuple[Memory, ...] = ()

    def declared(self) -> dict[str, str]:
        """The tensors that the file's own signature names as outputs → their names; none where it has several."""
        served = [s for s in self.signatures if s.method.endswith(_SERVED)]
        named = [s for s in served if s.name == _DEFAULT] or served
        return {tensor: key for key, tensor in named[0].outputs.items()} if len(named) == 1 else {}


@dataclass(frozen=True, slots=True)
class Format:
    """One way of saving a model, and how to read it.

    Attributes:
        name: The name that users see.
        spec: Where the format is written down.
        sniff: The evidence that a path is this format, as one clause, or None. Looks at content, reads at most
            a few KiB, never raises for what a file contains.
        read: The stored model. Raises `ReadError` and nothing else.
        choices: Names of further arguments that `read` takes where a file holds several models.
        limits: Which files of this format are read, where not all are.
    """

    name: str
    spec: str
    sniff: Callable[[Path], str | None]
    read: Callable[..., StoredModel]
    choices: tuple[str, ...] = ()
    limits: str = ""
