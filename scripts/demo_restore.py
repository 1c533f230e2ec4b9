"""The second half of the demo: a run folder back from its files alone, where TensorFlow cannot be imported.

python scripts/demo_restore.py RUN ONNX TIMES [STARTED]
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import MetaPathFinder
from pathlib import Path

import reprise
from reprise.sampling import generate

REFUSED = ("tensorflow", "keras")
STEPS = 32
PROMPT = "The "


class Refusal(MetaPathFinder):
    """Makes some packages impossible to import."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> None:
        """Refuses the packages, and knows nothing of others."""
        del path, target
        if name.partition(".")[0] in REFUSED:
            raise ImportError(f"{name} is not to be had in this process")


def refuse_tensorflow() -> None:
    """Takes TensorFlow away, and shows that it is gone."""
    sys.meta_path.insert(0, Refusal())
    try:
        import_module("tensorflow")
    except ImportError as error:
        print(f"import tensorflow → ImportError: {error}\n")
    else:
        sys.exit("TensorFlow could be imported, so this would prove nothing")


@contextmanager
def timed(facts: dict[str, str], name: str, since: float | None = None) -> Iterator[None]:
    """Notes the seconds until the block ends."""
    begun = time.time() if since is None else since
    yield
    facts[name] = f"{time.time() - begun:.2f} s"


def main(run: str, onnx: str, times: str, started: str = "") -> int:
    """Restores, samples, exports, verifies."""
    begun, facts = float(started or time.time()), dict[str, str]()
    refuse_tensorflow()

    with timed(facts, "process start to model ready", begun):
        model = reprise.restore(run)
    print(f"{model.interface}\n", flush=True)

    prompt = PROMPT if model.vocabulary and set(PROMPT) <= set(model.vocabulary.symbols) else ""
    pieces = generate(model, 601, prompt=prompt, temperature=0.6, seed=1)
    with timed(facts, "process start to first character", begun):
        print(prompt, *next(pieces), sep="", end="", flush=True)
    with timed(facts, "600 more characters, one by one"):
        for (piece,) in pieces:
            print(piece, end="", flush=True)

    with timed(facts, f"export to ONNX, verified over {STEPS} steps"):
        reprise.export(model, onnx, steps=STEPS)
    with timed(facts, "the ONNX file back, same greedy text"):
        same = [list(generate(m, 100, greedy=True)) for m in (model, reprise.restore(onnx))]
    if same[0] != same[1]:
        sys.exit(f"{onnx} does not give the same text as {run}")
    print(f"\n\n{onnx}: written, and equal to the checkpoint over {STEPS} carried steps")
    Path(times).write_text(json.dumps(facts), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
