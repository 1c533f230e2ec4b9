"""One process of the campaign: tries cases one after the other, with limits of time and memory, and reports findings.

    python -m tests.hostile.worker SEEDS FIRST COUNT REPORT

A case is a number: it decides the seed and the damage, so each can be tried again alone.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

from reprise import bounds, formats
from reprise.cli._arrays import read as read_arrays
from reprise.errors import RepriseError
from reprise.examine import examine
from reprise.restore import restore
from reprise.state import State
from reprise.tensors import DTYPES
from tests.hostile.graph_edits import edited
from tests.hostile.harms import HARMS
from tests.hostile.mutations import changed

#: Processor time and growth of memory that a case may take.
SECONDS, MEGABYTES = 5, 1024
#: Processor time after which the system ends a process that does not even listen, and time by the clock.
PATIENCE, WAIT = 30, 600
#: What no error and no report may hold: it would command a terminal.
COMMANDS = set(map(chr, [*range(9), *range(11, 32), *range(127, 160)]))


class TooSlow(BaseException):
    """The time of a case is over."""


def main(seeds, first, count, report):
    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for kind in (signal.SIGALRM, signal.SIGVTALRM):
        signal.signal(kind, _stop)
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    known = json.loads((Path(seeds) / "seeds.json").read_text())
    with Path(report).open("a", encoding="utf-8") as out:
        for number in range(first, first + count):
            print(json.dumps({"begins": number}), file=out, flush=True)
            finding = case(number, known)
            print(json.dumps({"case": number, **finding}), file=out, flush=True)


def case(number, known):
    """What came of one case: `outcome`, and where it is a finding, `what`."""
    draw = random.Random(number)
    seed = known[number % len(known)]
    before = _peak()
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        shutil.copytree(seed["folder"], folder, dirs_exist_ok=True)
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + PATIENCE, resource.RLIM_INFINITY))
        signal.alarm(WAIT)
        try:
            said = (
                damaged_graph(seed, folder, draw) if number // len(known) % 3 == 2 else damaged_file(seed, folder, draw)
            )
        except TooSlow:
            return {"outcome": "too slow", "seed": seed["name"], "what": _where()}
        except RepriseError as error:
            said = str(error)
            outcome = "refused"
        except Exception:  # noqa: BLE001 - whatever it is, it is what the campaign looks for
            return {"outcome": "not ours", "seed": seed["name"], "what": _where()}
        else:
            outcome = "read"
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.alarm(0)
    grown = (_peak() - before) // 1024
    if grown > MEGABYTES:
        return {"outcome": "too large", "seed": seed["name"], "what": f"{grown} MB; {said[:500]}"}
    if not COMMANDS.isdisjoint(said):
        return {"outcome": "commands a terminal", "seed": seed["name"], "what": repr(said[:2000])}
    return {"outcome": outcome}


def _peak():
    """The most memory that this program has held, in kB (`getrusage` counts that of the program before it, too)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def _where():
    """The exception, and the places in the program that it passed, the last first."""
    kind, error, trace = sys.exc_info()
    places = [
        f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in traceback.extract_tb(trace) if "/src/" in f.filename
    ]
    return f"{kind.__name__}: {str(error)[:500]} < " + " < ".join(places[::-1][:12])


def damaged_file(seed, folder, draw):
    """Damages one file of a model, and tries to use the model."""
    files = sorted(p for p in Path(folder).rglob("*") if p.is_file())
    file = draw.choice(files)
    file.write_bytes(changed(file.name, file.read_bytes(), draw))
    return use(seed, Path(folder) / seed["path"], draw.random() < 0.25)


def damaged_graph(seed, folder, draw):
    """Edits the graph that is read from a whole model, and tries to use that."""
    path = Path(folder) / seed["path"]
    if seed["kind"] in OTHERS or formats.read(path).graph is None:
        return damaged_file(seed, folder, draw)
    true = formats.identify(path)

    def read(place, **choices):
        stored = true.read(place, **choices)
        return stored if stored.graph is None else replace(stored, graph=edited(stored.graph, random.Random(was)))

    was = draw.random()
    kept, formats.FORMATS = formats.FORMATS, (replace(true, read=read, sniff=lambda _: "it is edited"),)
    try:
        return use(seed, path, draw.random() < 0.25)
    finally:
        formats.FORMATS = kept


#: How what is no model is used.
OTHERS = {
    "state": lambda path: repr(State.load(path)),
    "arrays": lambda path: repr(sorted(read_arrays(path))),
    "vocabulary": lambda path: repr(formats.read_vocabulary(path)),
    **HARMS,
}


def use(seed, path, thorough=True):
    """What is said of a model that has run a few steps; `thorough` examines it too, which restores it once more."""
    if seed["kind"] in OTHERS:
        return OTHERS[seed["kind"]](path)
    said = ""
    if thorough:
        found = examine(path)
        said = str(found) + json.dumps(found.to_json())
    model = restore(path, time_limit=2)
    if any(len(p.shape) > 8 or bounds.elements(p.shape) > 2**20 for p in model.interface.inputs):
        return said
    with np.errstate(all="ignore"):
        feeds = {p.name: np.zeros([n or 2 for n in p.shape], DTYPES[p.dtype]) for p in model.interface.inputs}
        settings = {s.name: 1 for s in model.interface.settings if s.value is None}
        _, state = model.run(feeds, settings=settings)
    return said + repr(state) + repr(model)


def _stop(*_):
    raise TooSlow


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
