"""Trains a small model on text, then restores it in a new process where TensorFlow cannot be imported.

make demo, or python scripts/demo.py [--text FILE] [--minutes 2] [--out demo-run]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from pydoc_data.topics import topics

HERE = Path(__file__).parent


def main() -> int:
    """Both halves, and the table of what they took."""
    arguments = parsed()
    arguments.out.mkdir(parents=True, exist_ok=True)
    text = arguments.text or topics_of_pydoc(arguments.out / "topics.txt")
    run = arguments.out / "run"

    say(f"1. Train on {text} for about {arguments.minutes:g} minutes")
    begun = time.time()
    train(text, run, arguments.minutes)
    trained = time.time() - begun

    say("2. Restore the files in a new process where TensorFlow cannot be imported")
    times = arguments.out / "times.json"
    restore = [sys.executable, HERE / "demo_restore.py", run, arguments.out / "model.onnx", times]
    must(*restore, str(time.time()))
    say("What it took")
    table([("train, save and draw the loss plot", f"{trained:.1f} s"), *json.loads(times.read_text()).items()])
    return 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", type=Path, help="a text file in UTF-8; without it, the help texts of Python itself")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--out", type=Path, default=Path("demo-run"))
    return parser.parse_args()


def topics_of_pydoc(path: Path) -> Path:
    """English that every machine with Python has: the texts behind `help()`, without their tables."""
    lines = "\n\n".join(topics[name].strip() for name in sorted(topics)).splitlines()
    prose = [line for line in lines if not line.lstrip().startswith(("|", "+-", "+="))]
    path.write_text("\n".join(prose) + "\n", encoding="utf-8")
    return path


def train(text: Path, run: Path, minutes: float) -> None:
    size = ["--rnn-size", "256", "--num-layers", "2", "--seq-length", "64", "--batch-size", "32"]
    pace = ["--max-minutes", str(minutes), "--num-epochs", "1000", "--learning-rate", "0.003"]
    shutil.rmtree(run, ignore_errors=True)  # of the demo before
    must(sys.executable, "-m", "reprise", "train", text, "--out", run, *size, *pace)


def must(*command: str | Path) -> None:
    """Runs a program; what it says goes through, and if it fails the demo ends as it did."""
    if code := subprocess.run(command, check=False).returncode:
        sys.exit(code)


def say(title: str) -> None:
    print(f"\n── {title} " + "─" * max(0, 100 - len(title)) + "\n", flush=True)


def table(rows: list[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:{width}}  {value:>12}")


if __name__ == "__main__":
    sys.exit(main())
