"""`reprise train`."""

from __future__ import annotations

import os
import sys
from argparse import SUPPRESS, ArgumentParser, BooleanOptionalAction
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from reprise.cli._family import TRAIN, text_in
from reprise.errors import CallError

#: Options of other programs.
ALIASES = TRAIN

EXAMPLES = """\
  reprise train corpus.txt --out runs/quijote
  reprise train texts/ --out runs/large --rnn-size 512 --dropout 0.3 --max-minutes 120
  reprise train --out runs/quijote --resume --num-epochs 80
  reprise train --data_dir data/tiny --rnn_size 256 --save_dir runs/tiny   (char-rnn's options are understood)
"""


def add_options(parser: ArgumentParser) -> None:
    """One for each field of `TrainConfig`, by its name.

    An option that is not given is absent, so that --resume can tell what was given anew; the help tells the defaults.
    """
    parser.argument_default = SUPPRESS
    parser.add_argument("data", nargs="*", default=[], help="text files, folders, or - for standard input")
    parser.add_argument("--data-dir", type=text_in, action="append", default=[], help=SUPPRESS)
    parser.add_argument("-o", "--out", metavar="FOLDER", help="the run folder to write (needed)")
    parser.add_argument(
        "--resume", action="store_true", default=False, help="go on exactly where the run in --out stopped"
    )
    parser.add_argument("--init-from", metavar="RUN", help="take the weights, and nothing else, of a run or checkpoint")
    about = "show only warnings and the table at the end"
    parser.add_argument("-q", "--quiet", action="store_true", default=False, help=about)
    _add_model(parser)
    _add_course(parser)
    _add_data(parser)


def _add_model(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("the model")
    add = partial(group.add_argument, metavar="N", type=int)
    group.add_argument("--model", "--cell", metavar="CELL", help="lstm, gru or rnn [lstm]")
    add("--rnn-size", help="hidden units of a layer [128]")
    add("--num-layers", help="recurrent layers [2]")
    add("--embedding-size", help="width of the token embedding; 0 feeds one-hot vectors [64]")
    about = "what the bias of an LSTM's forget gate starts from; 1 where memory must last long [0]"
    group.add_argument("--forget-bias", metavar="X", type=float, help=about)


def _add_course(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("the course of training")
    add, real = partial(group.add_argument, metavar="N", type=int), partial(group.add_argument, metavar="X", type=float)
    add("--seq-length", help="time steps of a chunk: how far gradients go back [50]")
    add("--batch-size", help="parallel streams [50]")
    add("--num-epochs", "--max-epochs", help="passes over the text [50]")
    add("--max-steps", help="stop after so many steps in all")
    add("--workers", help="processes on this machine that train together [1]; or set TF_CONFIG in each")
    real("--max-minutes", help="stop after so many minutes")
    add("--patience", help="stop after so many validations in a row without a better one")
    real("--learning-rate", help="of Adam [0.002]")
    real("--learning-rate-decay", help="factor for every later epoch [0.97]")
    add("--learning-rate-decay-after", help="epochs before the decay begins [10]")
    real("--grad-clip", help="largest global norm of the gradient; 0 does not clip [5]")
    real("--dropout", help="probability to drop an output of a layer while training [0]")
    add("--seed", help="of the first weights and of dropout [123]")
    add("--checkpoint-every", help="steps between checkpoints [an epoch, at most 1000]")
    add("--keep", help="checkpoints to keep beside the best [3]")
    add("--sample-length", help="symbols to sample at every checkpoint [200]")


def _add_data(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("the data")
    group.add_argument("--val-frac", metavar="X", type=float, help="part at its end to validate on [0.05]")
    about = "characters, bytes, words, or values to forecast [values for .csv, .tsv and .npy, else characters]"
    group.add_argument("--level", help=about)
    group.add_argument("--encoding", help="of the text [utf-8]")
    group.add_argument("--vocabulary-size", metavar="N", type=int, help="words to know, the most frequent ones [all]")
    group.add_argument("--end-of-text", metavar="SYMBOL", help="a symbol to put after every file")
    group.add_argument("--columns", help="of numeric data, with commas between them [all]")
    about = "how missing numbers are filled: previous or linear [they are refused]"
    group.add_argument("--fill", metavar="HOW", help=about)
    group.add_argument(
        "--header", action=BooleanOptionalAction, help="whether the first line of CSV has names [told by the lines]"
    )


def train(resume: bool, quiet: bool, **given: Any) -> None:
    """Train a recurrent model on text or numbers. Ctrl-C saves and leaves; --resume goes on as if it had not."""
    given["data"] = (*given["data"], *given.pop("data_dir"))
    if "columns" in given:
        given["columns"] = tuple(name.strip() for name in given["columns"].split(","))
    if not given.get("out"):
        raise CallError("--out is missing: name the folder of the run, such as --out runs/mine")
    begin = _resumed(given) if resume else _new(given)
    workers = given.get("workers", 1)
    from reprise.train.launch import follow, launch

    follow()
    if workers > 1 and "TF_CONFIG" not in os.environ:
        if "-" in given["data"]:
            raise CallError("standard input cannot be read by several workers: write it to a file and name that")
        raise SystemExit(launch(sys.argv[1:], workers, Path(given["out"])))
    _go(begin, quiet=quiet)


def _go(begin: Callable[..., Any], *, quiet: bool) -> None:
    """Trains, with what happens on standard error.

    Raises:
        SystemExit: A signal ended it; the code is that of a program which it ends.
    """
    from reprise.train.quiet import silence

    display = None
    try:
        with silence():
            from reprise.train.display import Display
        with Display(quiet=quiet) as display:
            finished = begin((display,))
    except KeyboardInterrupt:
        if display is None or not display.started:
            sys.stderr.write("interrupted before the first step: nothing was begun\n")
        raise
    if finished.signal:
        raise SystemExit(128 + finished.signal)


def _new(given: dict[str, Any]) -> Callable[..., Any]:
    from reprise.train import begin, configured

    config = configured(given)
    return lambda observers: begin(config, observers)


def _resumed(given: dict[str, Any]) -> Callable[..., Any]:
    from reprise.train import resume

    changes = {name: value for name, value in given.items() if name != "out" and (name, value) != ("data", ())}
    return lambda observers: resume(given["out"], changes, observers)
