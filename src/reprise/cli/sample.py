"""`reprise sample`."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reprise.cli._family import SAMPLE
from reprise.cli._options import add_model, add_state, note_unknown, restored, started
from reprise.printable import printable

#: Options of other programs.
ALIASES = SAMPLE

EXAMPLES = """\
  reprise sample runs/quijote --length 600 --prompt "En un lugar" --temperature 0.8
  reprise sample model.ckpt-2000 --seed 1 --top-k 5 > text.txt
  reprise sample model.ckpt --prompt "The " --save-state tonight.safetensors
  reprise sample model.ckpt --prompt "And then" --state tonight.safetensors
  reprise sample weights.ckpt --vocabulary vocab.pkl --cell kind=lstm,forget_bias=1.0,activation=tanh"""

#: Between samples, where there are several.
RULE = "\n" + 40 * "-" + "\n"


def add_options(parser: ArgumentParser) -> None:
    """What to draw, and how."""
    add_model(parser)
    prompts = ("--prompt", "--primetext", "--prime", "--start-text")
    parser.add_argument(
        "-l", "--length", metavar="N", type=int, default=600, help="how many symbols to draw (%(default)s)"
    )
    parser.add_argument(*prompts, metavar="TEXT", default="", help="what the text begins with")
    parser.add_argument(
        "--temperature", metavar="T", type=float, default=1.0, help="above 0: below 1 is careful, above 1 is wild (1.0)"
    )
    parser.add_argument("--top-k", metavar="K", type=int, help="draw only from the K most probable symbols")
    parser.add_argument(
        "--top-p", metavar="P", type=float, help="draw only from the fewest whose probabilities sum to P"
    )
    parser.add_argument("--greedy", action="store_true", help="always take the most probable symbol")
    parser.add_argument("--seed", metavar="S", type=int, help="the same seed gives the same text while scores agree")
    parser.add_argument(
        "-n", "--samples", metavar="N", type=int, default=1, help="how many texts, drawn as one batch (1)"
    )
    add_state(parser)


def sample(length: int, prompt: str, samples: int, state: Path | None, save_state: Path | None, **options: Any) -> None:
    """Write text that a saved model makes up, symbol by symbol."""
    drawing = {name: options.pop(name) for name in ("temperature", "top_k", "top_p", "greedy", "seed")}
    model, last = restored(**options), list[Any]()
    note_unknown(model.vocabulary, prompt)
    keep = last.append if save_state else None
    pieces = model.stream(length, prompt=prompt, state=started(state), samples=samples, keep=keep, **drawing)
    if samples == 1:
        _stream(prompt, pieces)
    else:
        _show(RULE.join(prompt + "".join(text) for text in zip(*pieces, strict=True)))
    if sys.stdout.isatty():
        sys.stdout.write("\n")
    if save_state:
        last[0].save(save_state)


def _stream(prompt: str, pieces: Iterator[tuple[str, ...]]) -> None:
    """Each piece is shown as soon as it is drawn."""
    _show(prompt)
    for (piece,) in pieces:
        _show(piece)


def _show(text: str) -> None:
    """Writes text as it is, and for a terminal without what a vocabulary could command it to do."""
    sys.stdout.write(printable(text.replace("\r", "")) if sys.stdout.isatty() else text)
    sys.stdout.flush()
