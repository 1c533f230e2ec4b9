"""Variables of a checkpoint into the graph of a session: all that is asked for, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from fnmatch import fnmatchcase
from os import PathLike
from typing import Any

from reprise import formats
from reprise.errors import CallError, MissingWeights
from reprise.tensorflow import variables as of_session
from reprise.tensorflow.variables import Variable
from reprise.tensors import Array, Shape, Tensor

Only = str | Sequence[str] | Callable[[str], bool]

_MOST_LISTED = 20
_NEAREST = 3
_ALIKE = 0.6  # SequenceMatcher's ratio, of which its documentation says that above it two texts are close matches


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did.

    Attributes:
        variables: Variable of the graph → the tensor of the file that it was set to.
        unused: Tensors of the file that no variable of the graph was set to.
    """

    variables: Mapping[str, str]
    unused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Missing:
    """A variable that nothing in the file fits, and why."""

    variable: Variable
    why: str
    candidates: tuple[str, ...] = ()


def restore(
    session: Any, prefix: str | PathLike[str], *, variables: Mapping[str, str] | None = None, only: Only | None = None
) -> Restored:
    """Sets the variables of a session's graph to what a checkpoint holds; placeholders and operations do not matter.

    Every variable of the graph must have a tensor of its name, type and shape in the file, or nothing is changed. What
    the file holds beyond that, such as the slots of an optimizer that this graph lacks, is not an error. No operation
    is added to a graph that has initializers, so a finalized graph will do.

    Args:
        session: A `tf.compat.v1` session, or a `MonitoredSession`.
        prefix: A checkpoint (V1 or V2), or anything else with weights that `reprise.restore` reads.
        variables: Name in the file → name in the graph, where they differ. Names that end in `/`, and the empty name,
            mean whole scopes: `{"": "decoder/"}`.
        only: Restores these variables of the graph and leaves the others as they are: a name, a pattern such as
            `"lstm/*"`, several of these, or a function of the name.

    Raises:
        ReadError: The file is not one, or is damaged.
        MissingWeights: Variables of the graph have no tensor in the file that fits; the message lists all of them, with
            the nearest tensors.
        CallError: A name in `variables` or `only` is neither in the file nor in the graph.
    """
    # A key with a space is a part that the file's own graph takes out of a tensor, no name.
    stored = {name: tensor for name, tensor in formats.read(prefix).weights.items() if " " not in name}
    every = of_session.find(session.graph)
    wanted = _selected(every, only)
    renamed = _renamed(every, stored, variables or {}, str(prefix))
    sources: dict[Variable, str] = {}
    missing: list[_Missing] = []
    for variable in wanted:
        names = (renamed[variable],) if variable in renamed else _own_names(variable)
        name = next((n for n in names if n in stored), names[0])
        wrong = _obstacle(variable, stored.get(name))
        if wrong:
            missing.append(_Missing(variable, wrong))
        else:
            sources[variable] = name
    if missing:
        raise MissingWeights(_report(str(prefix), missing, stored, sources, session.graph))
    unused = tuple(sorted(stored.keys() - set(sources.values())))
    arrays = [(variable, _array(variable, stored[name])) for variable, name in sources.items()]
    of_session.assign(session, arrays)
    return Restored({v.name: name for v, name in sources.items()}, unused)


def _selected(every: Sequence[Variable], only: Only | None) -> list[Variable]:
    if not every:
        raise CallError("the session's graph has no variables to restore into. Build the model first.")
    if only is None:
        return list(every)
    if callable(only):
        chosen = [v for v in every if only(v.name)]
        idle = [] if chosen else ["the function"]
    else:
        patterns = [only] if isinstance(only, str) else list(only)
        chosen = [v for v in every if any(fnmatchcase(v.name, p) for p in patterns)]
        idle = [repr(p) for p in patterns if not any(fnmatchcase(v.name, p) for v in every)]
    if idle or not chosen:
        what = ", ".join(idle) or "an empty list"
        raise CallError(f"only: {what} chooses no variable of the graph, which has {_listed([v.name for v in every])}")
    return chosen


def _renamed(
    every: Sequence[Variable], stored: Mapping[str, Tensor], names: Mapping[str, str], path: str
) -> dict[Variable, str]:
    """The name in the file of each variable that the caller's mapping speaks of."""
    renamed: dict[Variable, str] = {}
    for old, new in sorted(names.items(), key=lambda pair: _is_scope(pair[0])):  # single names before scopes
        if _is_scope(old) != _is_scope(new):
            raise CallError(f"variables: {old!r} → {new!r} is a scope and a name; let both end in /, or neither")
        if _is_scope(old):
            found = [v for v in every if _whole(v).startswith(new)]
            renamed |= {v: old + _whole(v)[len(new) :] for v in found if v not in renamed}
        else:
            found = [v for v in every if new in (v.name, _whole(v))]
            renamed |= dict.fromkeys(found, old)
        if not found:
            names_here = _listed([v.name for v in every])
            raise CallError(f"variables: {old!r} → {new!r}: the graph has no {new!r}; it has {names_here}")
        if not any(n.startswith(old) if _is_scope(old) else n == old for n in stored):
            raise CallError(f"variables: {old!r} → {new!r}: {path} has no {old!r}; it has {_listed(sorted(stored))}")
    return renamed


def _is_scope(name: str) -> bool:
    return name == "" or name.endswith("/")


def _whole(variable: Variable) -> str:
    return variable.part.whole if variable.part else variable.name


def _own_names(variable: Variable) -> tuple[str, ...]:
    return (_whole(variable), variable.name, variable.shared)


def _obstacle(variable: Variable, tensor: Tensor | None) -> str:
    """Why a tensor cannot be the value of a variable; empty if it can."""
    if tensor is None:
        return "not in the file"
    if tensor.dtype != variable.dtype:
        return f"{variable.dtype} in the graph, {tensor.dtype} in the file"
    if not _fits(variable, tensor.shape):
        shape = variable.part.shape if variable.part else variable.shape
        return f"shape {_sizes(shape)} in the graph, {_sizes(tensor.shape)} in the file"
    return ""


def _fits(variable: Variable, shape: tuple[int, ...]) -> bool:
    if variable.shape is None or (variable.part and shape == variable.part.shape):
        return True
    return len(shape) == len(variable.shape) and all(n in (None, m) for n, m in zip(variable.shape, shape, strict=True))


def _array(variable: Variable, tensor: Tensor) -> Array:
    array = tensor.load()
    is_whole = variable.part is not None and tensor.shape == variable.part.shape
    return array[variable.part.bounds] if variable.part and is_whole else array


def _report(
    path: str, missing: Sequence[_Missing], stored: Mapping[str, Tensor], used: Mapping[Variable, str], graph: Any
) -> str:
    free = {name: tensor for name, tensor in stored.items() if name not in set(used.values())}
    shown = missing[:_MOST_LISTED]
    nearest = {m.variable: _nearest(m.variable, free) for m in shown}
    total = len(missing) + len(used)
    fault = f"{len(missing)} of {total} variables have no fitting tensor"
    lines = [f"{path} does not fit the graph: {fault}. Nothing was changed."]
    lines += [f"  {_described(m.variable)}: {m.why}{_near(nearest[m.variable], stored)}" for m in shown]
    if len(missing) > len(shown):
        lines.append(f"  … and {len(missing) - len(shown)} more")
    if free:
        lines.append(f"Only in the file: {_listed(sorted(free))}.")
    lines.append(_advice(missing, nearest, free, graph))
    return "\n".join(lines)


def _nearest(variable: Variable, free: Mapping[str, Tensor]) -> list[str]:
    """Tensors that a variable may mean: of its type and shape, by their names; else of a name like its own."""

    def alike(name: str) -> float:
        return SequenceMatcher(None, variable.name, name, autojunk=False).ratio()

    fitting = [name for name, tensor in free.items() if not _obstacle(variable, tensor)]
    close = fitting or [name for name in free if alike(name) > _ALIKE]
    return sorted(close, key=alike, reverse=True)[:_NEAREST]


def _near(names: Sequence[str], stored: Mapping[str, Tensor]) -> str:
    shown = ", ".join(f"{n} ({stored[n].dtype} {_sizes(stored[n].shape)})" for n in names)
    return f"; nearest: {shown}" if shown else ""


def _advice(
    missing: Sequence[_Missing], nearest: Mapping[Variable, Sequence[str]], free: Mapping[str, Tensor], graph: Any
) -> str:
    pairs = {names[0]: v.name for v, names in nearest.items() if names and not _obstacle(v, free[names[0]])}
    if len(pairs) == len(missing):
        return f"If these are the same variables, map them: variables={_scopes(pairs) or pairs}."
    trainable = {v.op.name for v in graph.get_collection("trainable_variables")}
    if trainable and not any(m.variable.name in trainable for m in missing):
        return (
            "All trainable variables are in the file; restore them alone with "
            "only=[v.op.name for v in tf.compat.v1.trainable_variables()], and initialise the others."
        )
    return "Map names with variables={'name in the file': 'name in the graph'}, or restore some with only='lstm/*'."


def _scopes(pairs: Mapping[str, str]) -> Mapping[str, str]:
    """The one change of scope that explains all pairs, or none."""
    scopes = {_scope_change(old, new) for old, new in pairs.items()}
    old, new = next(iter(scopes))
    both_are_scopes = len(scopes) == 1 and len(pairs) > 1 and _is_scope(old) and _is_scope(new)
    return {old: new} if both_are_scopes else {}


def _scope_change(old: str, new: str) -> tuple[str, str]:
    """The scopes by which two names differ that end alike: `a/lstm/w` and `b/lstm/w` by `a/` and `b/`."""
    a, b = old.split("/"), new.split("/")
    while a and b and a[-1] == b[-1]:
        a.pop()
        b.pop()
    return "".join(f"{part}/" for part in a), "".join(f"{part}/" for part in b)


def _described(variable: Variable) -> str:
    return f"{variable.name} ({variable.dtype} {_sizes(variable.shape)})"


def _sizes(shape: Shape | None) -> str:
    return "of any shape" if shape is None else "[" + ", ".join("any" if n is None else str(n) for n in shape) + "]"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_LISTED
    return ", ".join(names[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
