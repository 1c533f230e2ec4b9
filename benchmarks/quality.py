"""What models reach on tinyshakespeare, beside what another char-rnn reports on the same parts of the same text.

    python benchmarks/quality.py tinyshakespeare.txt --out runs/quality [--models 2x128 2x512] [--save FILE]

The report is that of github.com/crazydonkey200/tensorflow-char-rnn, which states text, split, size and loss: train.py
there takes the first 90 % of the text to train on, the next 5 % to validate and the rest to test, and
pretrained_shakespeare/result.json holds the options and the validation perplexity of a 2×128 LSTM without dropout, the
best of 91 epochs. Its checkpoint lies beside it; the test loss is what `reprise score` finds for that checkpoint, since
the one in result.json is that of a model before it. `2x128` here is that model with those options, validated once an
epoch as there; `2x512` is a larger one with dropout on the same parts. Losses are nats per character; the test's is
over one stream from a zero state.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TRAIN_PART, VALIDATION_PART = 0.9, 0.05
REPORTED = {"validation": math.log(4.335343360900879), "test": math.log(5.3089)}
MODELS: dict[str, dict[str, float]] = {
    "2x128": {
        "rnn-size": 128,
        "num-layers": 2,
        "embedding-size": 0,
        "batch-size": 20,
        "seq-length": 10,
        "learning-rate": 0.002,
        "learning-rate-decay": 1,
        "num-epochs": 20,
    },
    "2x512": {
        "rnn-size": 512,
        "num-layers": 2,
        "dropout": 0.3,
        "batch-size": 50,
        "seq-length": 50,
        "learning-rate": 0.002,
        "learning-rate-decay": 0.6,
        "learning-rate-decay-after": 3,
        "num-epochs": 5,
    },
}


def main() -> None:
    options = _options()
    text = options.text.read_text(encoding="utf-8")
    rows = [measured(name, text, options.out / name) for name in options.models]
    for row in [*rows, {"model": "2x128, reported", **REPORTED, "epoch": 17}]:
        print(f"{row['model']:16} validation {row['validation']:.4f}  test {row['test']:.4f}  epoch {row['epoch']}")
    if options.save:
        facts = {"python": platform.python_version(), "machine": platform.processor(), "reported": REPORTED}
        options.save.write_text(json.dumps({**facts, "measured": rows}, indent=1) + "\n")


def measured(name: str, text: str, run: Path) -> dict[str, Any]:
    """The losses of one model after training from the beginning, and when it was at its best."""
    trained, known = int(TRAIN_PART * len(text)), int(TRAIN_PART * len(text)) + int(VALIDATION_PART * len(text))
    options, began = MODELS[name], time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        corpus, unseen = Path(folder, "corpus.txt"), Path(folder, "test.txt")
        corpus.write_text(text[:known], encoding="utf-8")
        unseen.write_text(text[known:], encoding="utf-8")
        an_epoch = trained // int(options["batch-size"] * options["seq-length"])
        train(corpus, run, {**options, "val-frac": 1 - trained / known, "checkpoint-every": an_epoch})
        seconds = time.perf_counter() - began
        scored = json.loads(reprise("score", str(run), str(unseen), "--json", stdout=subprocess.PIPE))
    records = [r for r in map(json.loads, (run / "history.jsonl").read_text().splitlines()) if "validation_loss" in r]
    best = min(records, key=lambda r: r["validation_loss"])
    return {
        "model": name,
        "options": options,
        "validation": best["validation_loss"],
        "test": math.log(scored["perplexity"]),
        "epoch": 1 + records.index(best),
        "validation_losses": [r["validation_loss"] for r in records],
        "seconds": seconds,
    }


def train(corpus: Path, run: Path, options: dict[str, float]) -> None:
    given = [word for option, value in options.items() for word in (f"--{option}", str(value))]
    reprise("train", str(corpus), "--out", str(run), *given)


def reprise(*words: str, stdout: int | None = None) -> str:
    done = subprocess.run([sys.executable, "-m", "reprise", *words], check=True, stdout=stdout, text=True)
    return done.stdout or ""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="a folder for the runs")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--save", type=Path, help="write the results as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
