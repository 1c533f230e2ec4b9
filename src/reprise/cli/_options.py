"""The options that commands share, and the model that they name."""

from __future__ import annotations

import sys
import warnings
from argparse import SUPPRESS, Action, ArgumentError, ArgumentParser, ArgumentTypeError, Namespace, _ArgumentGroup
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprise.printable import printable_line

if TYPE_CHECKING:
    from reprise.model import RecurrentModel
    from reprise.state import State
    from reprise.vocabulary import Vocabulary


def add_model(parser: ArgumentParser) -> None:
    """The model, and what decides where its files leave a choice: every argument of `reprise.restore`."""
    parser.add_argument("path", metavar="MODEL", type=Path, help=_MODEL)
    add_choices(parser)


def add_two_models(parser: ArgumentParser) -> None:
    """Two models, and what decides where the files of either leave a choice."""
    parser.add_argument("first", metavar="A", type=Path, help=_MODEL)
    parser.add_argument("second", metavar="B", type=Path, help="another, of any format")
    add_choices(parser)
    parser.add_argument("--json", dest="as_json", action="store_true", help="print data")


_MODEL = "a folder, a checkpoint prefix or a file"


def add_choices(parser: ArgumentParser) -> None:
    """What decides where files leave a choice."""
    group = parser.add_argument_group("for ambiguous files")
    _add_symbols(group)
    _add_interface(group)
    _add_reading(group)
    _add_running(parser)


def _add_symbols(group: _ArgumentGroup) -> None:
    group.add_argument("--vocabulary", metavar="FILE", type=Path, help="the symbols the model was trained with")
    for option, where in (("--symbols-before", "before"), ("--symbols-after", "behind")):
        about = f"one that the program put {where} those of the vocabulary, such as '<unk>'; may be repeated"
        group.add_argument(option, metavar="SYMBOL", action="append", default=[], help=about)
    about = "the text that the model was trained on, to make the symbols from"
    group.add_argument("--corpus", metavar="FILE", type=Path, help=about)


def _add_interface(group: _ArgumentGroup) -> None:
    for option, name in (("--input", "inputs"), ("--output", "outputs")):
        about = f"one of the {name}; may be repeated"
        group.add_argument(option, dest=name, metavar="TENSOR", action="append", default=[], help=about)
    about = "one of the states, or where it enters one step and its next value; may be repeated"
    shown = "TENSOR[=NEXT]"
    group.add_argument("--state-tensor", dest="states", metavar=shown, action=_States, default=[], help=about)
    group.add_argument("--scope", metavar="NAME", default="", help="which of several models in a graph")
    about = "which of several signatures or functions of a SavedModel"
    group.add_argument("--signature", metavar="NAME", default="", help=about)
    about = "a value of a setting, such as keep_prob=0.5; may be repeated"
    group.add_argument("--set", dest="settings", metavar="NAME=VALUE", action=_Assign, default={}, help=about)


def _add_reading(group: _ArgumentGroup) -> None:
    group.add_argument("--format", metavar="NAME", default="", help="one of `reprise formats`, or a part of its name")
    group.add_argument("--tags", metavar="TAG", nargs="+", default=[], help="which of several graphs in a SavedModel")
    about = "which of the checkpoints of a folder [best, where a run measured it]"
    group.add_argument("--checkpoint", metavar="best|last|STEP", type=_checkpoint, default=SUPPRESS, help=about)
    about = "the graph of a checkpoint that has no .meta of its name"
    group.add_argument("--graph", metavar="FILE", type=Path, help=about)
    about = "the configuration of Keras, in JSON, that weights alone belong to"
    group.add_argument("--layers", metavar="FILE", type=Path, help=about)
    about = "what a layer is that is not Keras' own, by class or name, such as MyDense=Dense or MyHead=FILE.json"
    group.add_argument("--custom", metavar="NAME=LAYER", action=_Assign, help=about)
    about = "what weights without a graph do not say, such as kind=lstm,forget_bias=1.0,activation=tanh"
    group.add_argument("--cell", metavar="NAME=VALUE,…", action=_Assign, help=about)
    group.add_argument("--averages", action="store_true", help="use the moving averages of the weights")
    about = "start from zeros where the file holds a state, such as one that training left over"
    group.add_argument("--zero-state", action="store_true", help=about)


def _add_running(parser: ArgumentParser) -> None:
    """How the model is run."""
    group = parser.add_argument_group("how the model is run")
    about = "how many threads a call may use; 1 is best beside other work"
    group.add_argument("--threads", metavar="N", type=int, default=SUPPRESS, help=about)
    about = "what computes single steps: numpy, onnxruntime, or auto, which is the faster one (auto)"
    group.add_argument("--engine", metavar="NAME", default=SUPPRESS, help=about)
    about = "int8 or int4: the weights of products in so many bits, if the numbers change little (float32)"
    group.add_argument("--precision", metavar="NAME", default=SUPPRESS, help=about)
    about = "how much they may change, in bits per symbol, or as a part of 1 + their size (0.05)"
    group.add_argument("--largest-drift", metavar="X", type=float, default=SUPPRESS, help=about)
    about = "how long a loop of the model may run in one call, before it is taken for one that never ends (30)"
    group.add_argument("--time-limit", metavar="S", type=float, default=SUPPRESS, help=about)


def add_state(parser: ArgumentParser) -> None:
    """Where to start and what to keep; see `started`."""
    parser.add_argument("--state", metavar="FILE", type=Path, help="go on from this saved state")
    parser.add_argument("--save-state", metavar="FILE", type=Path, help="save the state at the end")


def restored(**options: Any) -> RecurrentModel:
    """The model that the options of `add_model` name; what is taken for granted of weights alone, is told."""
    from reprise.model import DRAWS
    from reprise.restore import restore

    with warnings_to_stderr():
        model = restore(**options)
    if options.get("cell") is not None or options.get("corpus") is not None:
        sys.stderr.writelines(f"note: {printable_line(note)}\n" for note in model.stored.notes)
    if choice := model.stored.metadata.get("choice"):
        sys.stderr.write(f"note: {printable_line(choice)}\n")
    if model.drift is not None:
        sys.stderr.write(f"note: weights in {model.precision}: {model.drift}\n")
    if model.draws:
        sys.stderr.write(f"note: {DRAWS}; `reprise inspect` tells more\n")
    return model


@contextmanager
def warnings_to_stderr() -> Iterator[None]:
    """What is warned of inside goes to standard error, a line each."""
    with warnings.catch_warnings(record=True, action="always", category=UserWarning) as found:
        yield
    sys.stderr.writelines(f"note: {printable_line(str(one.message))}\n" for one in found)


def named_columns(model: RecurrentModel, columns: str) -> list[str] | None:
    """The columns to read: those asked for, or those that the model was trained on, if they had names.

    Data in another order would be another's.
    """
    if columns:
        return [name.strip() for name in columns.split(",")]
    names = model.stored.metadata.get("columns", ())
    return list(names) if any(not name.isdecimal() for name in names) else None


def started(path: Path | None) -> State | None:
    """The state to start from, or None for the initial one."""
    from reprise.state import State

    return None if path is None else State.load(path)


def note_unknown(vocabulary: Vocabulary | None, text: str) -> None:
    """Tells on standard error which words of a text the model reads as the one that stands for unknown ones."""
    if vocabulary is None or vocabulary.stand_in is None:
        return
    if unknown := vocabulary.unknown(text):
        shown = " ".join(unknown[:10]) + (" …" if len(unknown) > 10 else "")
        stand_in = vocabulary.symbols[vocabulary.stand_in]
        note = f"read as {stand_in}, since the model does not know them: {shown}"
        sys.stderr.write(f"note: {printable_line(note)}\n")


def _checkpoint(value: str) -> str:
    if value not in ("best", "last") and not value.isdecimal():
        raise ArgumentTypeError(f"expected best, last or a step, found {value!r}. A model is named without an option")
    return value


class _States(Action):
    """Gathers names of tensors, one or several joined by commas, in a list, or pairs `entering=next` in a dict."""

    def __call__(self, _parser: ArgumentParser, namespace: Namespace, values: Any, _option: str | None = None) -> None:
        so_far = getattr(namespace, self.dest)
        for one in values.split(","):
            enters, equals, after = one.partition("=")
            if so_far and bool(equals) != isinstance(so_far, dict):
                raise ArgumentError(self, "expected TENSOR or TENSOR=NEXT for every state, found both")
            so_far = {**dict(so_far), enters: after} if equals else [*so_far, one]
        setattr(namespace, self.dest, so_far)


class _Assign(Action):
    """Gathers `name=value`, one or several joined by commas, in a dict; a value is a number, a flag or a word."""

    def __call__(self, _parser: ArgumentParser, namespace: Namespace, values: Any, _option: str | None = None) -> None:
        so_far = dict(getattr(namespace, self.dest) or {})
        for one in values.split(","):
            name, equals, value = one.partition("=")
            if not (name and equals and value):
                raise ArgumentError(self, f"expected NAME=VALUE, found {one!r}")
            so_far[name] = _value(value)
        setattr(namespace, self.dest, so_far)


def _value(text: str) -> float | bool | str:
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text)
    except ValueError:
        return text
