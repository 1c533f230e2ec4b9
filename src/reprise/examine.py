"""What a saved model holds and what stands in the way of running it, for people and for programs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from os import PathLike
from typing import Any

import numpy as np

from reprise import formats
from reprise.errors import RepriseError
from reprise.export.layers import stack_of
from reprise.formats import StoredModel
from reprise.interface import Choices, Interface
from reprise.model import DRAWS, RecurrentModel
from reprise.printable import printable_line
from reprise.restore import discovered, restore
from reprise.sampling.symbols import symbol_reader
from reprise.stack import Stack, StackEmbedding, StackOneHot, StackRecurrent
from reprise.tensors import DTYPES, Tensor
from reprise.vocabulary import Vocabulary

#: How many lines an overview has at most, and how many of them are notes, or what can be done next.
_LINES, _SOME = 24, 3

#: What of the arguments of `restore` concerns reading the files.
_READING = frozenset({"format", "tags", "graph", "checkpoint", "layers", "custom"})

#: What of them concerns the interface.
_CHOOSING = frozenset({"inputs", "outputs", "states", "scope", "settings", "signature"})

#: The option of each argument of `restore`.
_FLAGS = {
    "vocabulary": "--vocabulary",
    "symbols_before": "--symbols-before",
    "symbols_after": "--symbols-after",
    "corpus": "--corpus",
    "inputs": "--input",
    "outputs": "--output",
    "states": "--state-tensor",
    "scope": "--scope",
    "settings": "--set",
    "format": "--format",
    "tags": "--tags",
    "graph": "--graph",
    "checkpoint": "--checkpoint",
    "cell": "--cell",
    "averages": "--averages",
    "zero_state": "--zero-state",
}


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found. Printed, it is a report of everything; `overview` is a screen of it.

    Attributes:
        stored: The files as data.
        vocabulary: That of the files, or the one that was given.
        interface: Its recurrent interface, or None where that was not established.
        obstacle: Why the model cannot be run, or None where it can.
        silence: Why a model that can be run cannot be sampled, or None where it can.
        draws: Whether a model that can be run draws random numbers in every call.
        options: What was chosen, as the command line says it.
        stack: The standard layers that the model is a stack of, or None where it is none.
        engine: What computes single steps of one row, and why that is not NumPy; empty where it cannot be run.
    """

    stored: StoredModel
    vocabulary: Vocabulary | None
    interface: Interface | None
    obstacle: RepriseError | None
    silence: RepriseError | None
    draws: bool = False
    options: str = ""
    stack: Stack | None = None
    engine: str = ""

    def to_json(self) -> dict[str, Any]:
        """The same facts as plain data."""
        stored = self.stored
        return {
            "path": str(stored.path),
            "headline": self.headline,
            "format": stored.format,
            "evidence": stored.evidence,
            "files": [str(f) for f in stored.files],
            "notes": list(stored.notes),
            "vocabulary": None if self.vocabulary is None else self.vocabulary.to_json(),
            "vocabulary_source": stored.vocabulary_source,
            "signatures": [asdict(s) for s in stored.signatures],
            "variables": [{"name": n, "dtype": t.dtype, "shape": list(t.shape)} for n, t in stored.weights.items()],
            "interface": None if self.interface is None else self.interface.to_json(),
            "obstacle": _error(self.obstacle),
            "silence": _error(self.silence),
            "draws": self.draws,
            "layers": self.layers,
            "engine": self.engine,
        }

    @property
    def headline(self) -> str:
        """What the model is, in a line: its layers, its symbols, and the program that saved it."""
        return printable_line(", ".join(filter(None, (_model(self), _symbols(self), _program(self.stored)))))

    @property
    def overview(self) -> str:
        """What most people ask, in at most 24 lines; the whole report is the text of this object."""
        title, advice = self._outcome()
        end = "\n".join(["", title, _indented(_shortened(advice, _SOME)), "(everything that was found: --evidence)"])
        start = "\n".join([self.headline, _indented(self._facts())])
        room = _LINES - len(start.splitlines()) - len(end.splitlines()) - 2
        table = [] if self.interface is None else _shortened(str(self.interface).splitlines(), room)
        return "\n".join([start, *(["", "Interface", _indented(table)] if table else []), end])

    @property
    def layers(self) -> str:
        """Those of the stack in one line; empty where it is none."""
        return "" if self.stack is None else str(self.stack)

    def _facts(self) -> list[str]:
        """A line for each kind of fact of the overview."""
        vocabulary = _vocabulary(self.vocabulary, self.stored.vocabulary_source)[0]
        notes = _shortened([*self.stored.notes, *([DRAWS] if self.draws else [])], _SOME)
        facts = [
            ("format", f"{self.stored.format}: {self.stored.evidence}"),
            ("layers", self.layers),
            ("vocabulary", vocabulary if self.vocabulary is not None or _symbols(self) else ""),
            ("weights", _amount(self.stored.weights.values()) if self.stored.weights else ""),
            *(("note", note) for note in notes),
        ]
        return [f"{name:12}{fact}" for name, fact in facts if fact]

    def _outcome(self) -> tuple[str, list[str]]:
        return "It can be run" if self.obstacle is None else "It cannot be run", list(_advice(self))

    def __str__(self) -> str:
        sections = "\n\n".join(f"{title}\n{_indented(lines)}" for title, lines in self._sections() if lines)
        return f"{self.headline}\n\n{sections}"

    def _sections(self) -> Iterator[tuple[str, list[str]]]:
        stored, found = self.stored, self.interface
        yield printable_line(f"{stored.format}: {stored.evidence}"), [str(f) for f in stored.files]
        yield "Notes", [*stored.notes, *([DRAWS] if self.draws else [])]
        yield "Interface", [] if found is None else str(found).splitlines()
        yield "Layers", [self.layers] if self.stack is not None else []
        yield "Engine of single steps", [self.engine] if self.engine else []
        yield "Evidence", [] if found is None else list(found.evidence)
        yield "Vocabulary", _vocabulary(self.vocabulary, stored.vocabulary_source)
        yield "Signatures", [f"{s.name}: {', '.join(s.inputs)} → {', '.join(s.outputs)}" for s in stored.signatures]
        yield f"Variables: {_amount(stored.weights.values())}", _table(stored)
        yield self._outcome()


@np.errstate(all="ignore")  # as in `restore`
def examine(
    path: str | PathLike[str],
    *,
    vocabulary: Vocabulary | str | PathLike[str] | Sequence[str] | None = None,
    **choices: Any,
) -> Examination:
    """Looks at the saved model at `path`, whether or not it can be run; the arguments are those of `restore`.

    Raises:
        ReadError: The file cannot be read at all.
    """
    stored = formats.read(path, **{k: v for k, v in choices.items() if k in _READING and v})
    given = formats.given_vocabulary(vocabulary)
    symbols = given or stored.vocabulary
    try:
        model = restore(path, vocabulary=given, **choices)
    except RepriseError as obstacle:
        return Examination(stored, symbols, _interface(stored, choices), obstacle, None)
    options = _options({"vocabulary": vocabulary, **choices})
    engine = f"{model.engine} ({model.why_engine})" if model.why_engine else model.engine
    return Examination(
        model.stored,
        model.vocabulary,
        model.interface,
        None,
        _silence(model),
        model.draws,
        options,
        _stack(model),
        engine,
    )


def _options(choices: Mapping[str, Any]) -> str:
    """The arguments of `restore` as the options of every command; a vocabulary that is no file has none."""
    words: list[str] = []
    for name, flag in _FLAGS.items():
        match choices.get(name):
            case True:
                words.append(flag)
            case dict() as pairs if pairs:
                words += [flag, ",".join(f"{key}={value}" for key, value in pairs.items())]
            case [*several] if name == "tags" and several:
                words += [flag, *several]
            case [*several]:
                words += [word for one in several for word in (flag, str(one))]
            case str() | PathLike() as one if str(one):
                words += [flag, str(one)]
    return shlex.join(words)


def _silence(model: RecurrentModel) -> RepriseError | None:
    try:
        symbol_reader(model, rows=1)
    except RepriseError as why:
        return why
    return None


def _stack(model: RecurrentModel) -> Stack | None:
    try:
        return stack_of(model)
    except RepriseError:
        return None


def _interface(stored: StoredModel, choices: Mapping[str, Any]) -> Interface | None:
    """The interface of a graph that was understood but cannot be run."""
    try:
        chosen = {name: choices[name] for name in _CHOOSING if name in choices}
        return discovered(stored, Choices.of(**chosen))[2].interface
    except RepriseError:
        return None  # the obstacle says why


def _model(found: Examination) -> str:
    """The recurrent layers, such as `2-layer LSTM of 128 units`, or as much as is known where they are no stack."""
    if found.stack is not None:
        layers = (layer for _, layer in found.stack.recurrent())
        return " and ".join(_in_a_row(kind, list(group)) for kind, group in groupby(layers, lambda layer: layer.kind))
    if found.interface is not None:
        count = len(found.interface.states)
        return f"model with {count} recurrent state{'' if count == 1 else 's'}"
    return "weights without a graph" if found.stored.graph is None else "no recurrent model"


def _in_a_row(kind: str, layers: Sequence[StackRecurrent]) -> str:
    """Recurrent layers of one kind in a row."""
    widths = [str(layer.width) for layer in layers]
    several = f"{', '.join(widths[:-1])} and {widths[-1]}" if len(set(widths)) > 1 else widths[0]
    return (f"{len(layers)}-layer " if len(layers) > 1 else "") + f"{kind} of {several} units"


def _symbols(found: Examination) -> str:
    """How many symbols the model reads, where it reads symbols."""
    if found.vocabulary is not None:
        return f"{len(found.vocabulary)} {found.vocabulary.kind}"
    match found.stack.layers[0] if found.stack is not None else None:
        case StackEmbedding(table=table):
            return f"{len(table)} symbols"
        case StackOneHot(width=width):
            return f"{width} symbols"
    return ""


def _program(stored: StoredModel) -> str:
    """The program that saved the model, with its version where the file holds that, or else the format."""
    for key, name in (("tensorflow_version", "TensorFlow "), ("keras_version", "Keras "), ("producer", "ONNX of ")):
        if isinstance(version := stored.metadata.get(key), str) and version:
            return name + ".".join(version.split(".")[:2])
    return stored.format


def _shortened(lines: Sequence[str], most: int) -> list[str]:
    """At most so many lines, the last of which says how many are left out."""
    return [*lines] if len(lines) <= most else [*lines[: most - 1], f"… {len(lines) - most + 1} more lines"]


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"  {printable_line(line)}" for line in lines)


def _vocabulary(vocabulary: Vocabulary | None, source: str) -> list[str]:
    if vocabulary is None:
        return [
            "none in the files or beside them; a model of symbols needs one (--vocabulary FILE), or the text that it "
            "was trained on (--corpus FILE)"
        ]
    shown = " ".join(repr(s) for s in vocabulary.symbols[:12]) + (" …" if len(vocabulary) > 12 else "")
    return [f"{len(vocabulary)} {vocabulary.kind}" + (f", from {source}" if source else ""), shown]


def _amount(tensors: Any) -> str:
    known = list(tensors)
    size = sum(t.size * DTYPES[t.dtype].itemsize for t in known if t.dtype in DTYPES)
    return f"{len(known)} tensors with {sum(t.size for t in known):,} numbers, {size / 1e6:,.1f} MB"


def _table(stored: StoredModel) -> list[str]:
    """A line for each variable; what an optimizer keeps of one, such as its Adam moments, stands in its line."""
    owners = {name: _owner(name, stored.weights) for name in stored.weights}
    kept: dict[str, list[str]] = {name: [] for name in owners}
    for name, owner in owners.items():
        if owner:
            kept[owner].append(name.removeprefix(f"{owner}/"))
    width = max((len(name) for name, owner in owners.items() if not owner), default=0)
    return [
        f"{name:{width}}  {_kind(stored.weights[name])}" + (f"  with {', '.join(kept[name])}" if kept[name] else "")
        for name, owner in owners.items()
        if not owner
    ]


def _owner(name: str, weights: Mapping[str, Tensor]) -> str:
    """The variable that `name` belongs to: one of the same shape, whose name is the beginning of this one."""
    parts = name.split("/")
    beginnings = ("/".join(parts[:length]) for length in range(1, len(parts)))
    return next((b for b in beginnings if b in weights and weights[b].shape == weights[name].shape), "")


def _kind(tensor: Tensor) -> str:
    return f"{tensor.dtype} [{', '.join(map(str, tensor.shape))}]"


def _advice(found: Examination) -> Iterator[str]:
    if found.obstacle is not None:
        yield f"{type(found.obstacle).__name__}: {found.obstacle}"
        return
    options = f" {found.options}" if found.options else ""
    if found.silence is None:
        yield f"reprise sample {shlex.quote(str(found.stored.path))}{options}"
    else:
        yield f"reprise run {shlex.quote(str(found.stored.path))}{options} --inputs in.npz --outputs out.npz"
        if found.vocabulary is not None:
            yield f"it cannot be sampled: {found.silence}"
    if found.interface is not None and any(s.initial == "file" for s in found.interface.states):
        yield "its state starts from what the file holds, perhaps what training left over; --zero-state takes zeros"


def _error(error: RepriseError | None) -> dict[str, str] | None:
    return None if error is None else {"kind": type(error).__name__, "message": str(error)}
