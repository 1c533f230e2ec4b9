"""Time and memory of every export of a model of 100 MB: an embedding, an LSTM and a dense layer.

    python benchmarks/exporting.py [TARGET…]

Each target runs in a process of its own. Memory is what the process needs at most, beyond what it needs with the model
restored; the goal is less than three times the size of the model, in less than 20 s (LiteRT aside).
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

UNITS, SYMBOLS = 1760, 65
SCALE = 1024 if sys.platform == "linux" else 1  # of what getrusage says


def written(path: Path) -> None:
    """A model of 100 MB as weights of PyTorch."""
    from safetensors.numpy import save_file

    random = np.random.default_rng(0)
    shapes = {
        "embedding.weight": (SYMBOLS, UNITS),
        "lstm.weight_ih_l0": (4 * UNITS, UNITS),
        "lstm.weight_hh_l0": (4 * UNITS, UNITS),
        "lstm.bias_ih_l0": (4 * UNITS,),
        "lstm.bias_hh_l0": (4 * UNITS,),
        "head.weight": (SYMBOLS, UNITS),
        "head.bias": (SYMBOLS,),
    }
    save_file({n: random.normal(0, 0.02, s).astype(np.float32) for n, s in shapes.items()}, path)


def measured(path: Path, target: str) -> None:
    """Prints the seconds and bytes of one export."""
    import reprise

    model = reprise.restore(path)
    size = sum(array.nbytes for array in model.lifted.weights.values())
    model.run(np.zeros((1, 1), np.int32))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * SCALE
    begun = time.perf_counter()
    try:
        reprise.export(model, path.with_name("out"), to=target)
        word = "written"
    except reprise.RepriseError as error:
        word = f"refused: {error}"
    seconds = time.perf_counter() - begun
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * SCALE - before
    print(json.dumps({"size": size, "seconds": seconds, "more": more, "word": word[:120]}))


def main() -> None:
    """Measures each target."""
    from reprise.export import TARGETS

    if sys.argv[1:2] == ["--one"]:
        measured(Path(sys.argv[2]), sys.argv[3])
        return
    for target in sys.argv[1:] or [t.name for t in TARGETS]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.safetensors"
            written(path)
            command = [sys.executable, __file__, "--one", str(path), target]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            size = f"{found['more'] / found['size']:5.2f} × {found['size'] / 1e6:.0f} MB"
            print(f"{target:12} {found['seconds']:6.1f} s  {size}  {found['word']}", flush=True)


if __name__ == "__main__":
    main()
