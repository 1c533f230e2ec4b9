"""Which of several signatures and functions of a file is the recurrent model: the one that leaves the most free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from reprise.errors import AmbiguousInterface, CallError, DiscoveryError, NoRecurrence, RepriseError
from reprise.graph import VARIABLES, Graph
from reprise.interface.analysis import settings
from reprise.interface.analysis.influence import ancestors
from reprise.interface.discover import discover
from reprise.interface.ports.choices import Choices
from reprise.interface.ports.describe import Discovery

_MOST = 40  # functions that are looked at; a file of more is asked for a name


@dataclass(frozen=True, slots=True)
class _Reading:
    """One entry that carries a recurrence.

    Attributes:
        name: Its name.
        found: Its interface.
        rank: What it does not leave free; lower is better.
        weights: The variables that it reads.
    """

    name: str
    found: Discovery
    rank: tuple[int, ...]
    weights: frozenset[str]


def discover_entry(entries: Mapping[str, Graph], choices: Choices | None = None) -> tuple[str, Discovery]:
    """The entry with the most freedom, or that which the caller names: its name and its interface.

    Args:
        entries: Graphs by name, those that the file declares for callers first.
        choices: What the caller decides.

    Raises:
        DiscoveryError: No entry carries a recurrence that can be read.
        AmbiguousInterface: Several of different weights leave as much free.
        CallError: The caller names an entry that the file does not have.
    """
    choices = choices or Choices()
    graphs = _named(entries, choices.signature)
    readings, misses = [], dict[str, RepriseError]()
    for name, graph in graphs.items():
        try:
            readings.append(_read_entry(name, graph, choices))
        except (DiscoveryError, CallError) as error:
            misses[name] = error
    if not readings:
        raise _best_reason(misses)
    first, *rest = sorted(readings, key=lambda r: (r.rank, -len(r.weights)))
    rivals = [r.name for r in rest if r.rank == first.rank and not r.weights <= first.weights]
    if rivals:
        raise AmbiguousInterface(
            f"{1 + len(rivals)} functions of the file are equally good: {', '.join([first.name, *rivals])}. "
            "Choose with signature= (--signature)."
        )
    return first.name, _with_reason(first, [r.name for r in rest], list(misses))


def _named(entries: Mapping[str, Graph], name: str) -> Mapping[str, Graph]:
    """The entries that a name means: one, or every trace of a function."""
    if not name:
        if len(entries) > _MOST:
            raise AmbiguousInterface(
                f"{_listed(list(entries))}: too many to try. Choose with signature= (--signature)."
            )
        return entries
    found = {k: g for k, g in entries.items() if k == name or k.startswith(f"{name}/trace_")}
    if not found:
        raise CallError(f"signature {name!r}: the file has none of this name; it has {_listed(list(entries))}")
    return found


def _listed(names: list[str], most: int = 20) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _read_entry(name: str, graph: Graph, choices: Choices) -> _Reading:
    found = discover(graph, choices)
    face = found.interface
    behind = ancestors(found.structure, [*found.outputs, *(c.leaving for c in found.states)])
    used = [found.structure.graph[n] for n in behind if n in found.structure.graph]
    baked = sum(p.shape[p.batch_axis] is not None for p in face.inputs if p.batch_axis is not None)
    timed = sum(p.shape[p.time_axis] is not None for p in face.inputs if p.time_axis is not None)
    rank = (
        int(not face.steppable),
        sum(s.initial == "inputs" for s in face.states),
        int(baked > 0),
        int(timed > 0),
        int(any(n.op in settings.RANDOM for n in used)),
    )
    return _Reading(name, found, rank, frozenset(n.name for n in used if n.op in VARIABLES))


def _best_reason(misses: Mapping[str, RepriseError]) -> RepriseError:
    """The reason of the entry that came nearest: one whose recurrence was seen, else the first."""
    name, error = min(misses.items(), key=lambda miss: isinstance(miss[1], NoRecurrence))
    return error if len(misses) == 1 else type(error)(f"{name!r}, of {len(misses)} functions of the file: {error}")


def _with_reason(chosen: _Reading, others: list[str], without: list[str]) -> Discovery:
    """Its interface, with why it was chosen as evidence."""
    reasons = []
    if others:
        reasons.append(
            f"{chosen.name!r} is read, not {_listed(others)}: it leaves as much to its caller as any other, or more"
        )
    if without:
        reasons.append(f"{_listed(without)}: no recurrence is read there")
    face = replace(chosen.found.interface, evidence=(*reasons, *chosen.found.interface.evidence))
    return replace(chosen.found, interface=face)
