"""The validation loss of a 2×512 LSTM with dropout, on char-rnn's own split of a text.

    python benchmarks/quality.py tinyshakespeare.txt --out runs/quality [--epochs 12] [--save FILE]

char-rnn (github.com/karpathy/char-rnn, util/CharSplitLMMinibatchLoader.lua) lays a text out in 50 streams and
validates on the last 5 % of each stream, so its validation text is from 50 places of the book. The end of the whole
text, which `reprise train` takes, is other scenes, and harder. To compare, the text is put in char-rnn's order first:
the beginnings of all streams, then their ends; training sees the very streams that char-rnn trains on.

What the family reports: 1.3950 after 30 epochs, the checkpoint that char-rnn's Readme names as an example; 1.4199 after
50 epochs, a user's on Shakespeare with the defaults (2×128). Losses are nats per character.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STREAMS, LENGTH, TRAIN_PART = 50, 50, 0.95  # the defaults of char-rnn's train.lua
REPORTED = {"char-rnn's Readme, 30 epochs": 1.3950, "a 2×128 run on Shakespeare, 50 epochs": 1.4199}
OPTIONS = {
    "rnn-size": 512,
    "num-layers": 2,
    "dropout": 0.3,
    "batch-size": STREAMS,
    "seq-length": LENGTH,
    "learning-rate": 0.002,
    "learning-rate-decay": 0.8,
    "learning-rate-decay-after": 5,
}


def main() -> None:
    options = _options()
    text = options.text.read_text(encoding="utf-8")
    ordered, part = in_the_order_of_char_rnn(text)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus.txt")
        corpus.write_text(ordered, encoding="utf-8")
        numbers = {**OPTIONS, "num-epochs": options.epochs, "val-frac": part}
        given = [word for name, value in numbers.items() for word in (f"--{name}", str(value))]
        subprocess.run(
            [sys.executable, "-m", "reprise", "train", str(corpus), "--out", str(options.out), *given], check=True
        )
    losses = validation_losses(options.out)
    step = min(losses, key=losses.__getitem__)
    print(f"\nbest validation loss {losses[step]:.4f} nats per character, after step {step:,}")
    for source, loss in REPORTED.items():
        print(f"{loss:.4f}  {source}")
    if options.save:
        facts = {"options": numbers, "losses": losses, "seconds": time.perf_counter() - began, "reported": REPORTED}
        options.save.write_text(json.dumps({"python": platform.python_version(), **facts}, indent=1) + "\n")


def in_the_order_of_char_rnn(text: str) -> tuple[str, float]:
    """The text with what char-rnn validates on at its end, and how large a part of it that is."""
    chunks = len(text) // (STREAMS * LENGTH)
    size, kept = chunks * LENGTH, int(chunks * TRAIN_PART) * LENGTH
    streams = [text[k * size : (k + 1) * size] for k in range(STREAMS)]
    ordered = "".join(s[:kept] for s in streams) + "".join(s[kept:] for s in streams)
    return ordered, 1 - kept / size


def validation_losses(run: Path) -> dict[int, float]:
    """Step → validation loss, of the history of a run."""
    records = map(json.loads, (run / "history.jsonl").read_text().splitlines())
    return {r["step"]: r["validation_loss"] for r in records if "validation_loss" in r}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="the run folder")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--save", type=Path, help="write the results as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
