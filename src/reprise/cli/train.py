"""`reprise train`."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from reprise.errors import CallError

EXAMPLES = """\
  reprise train corpus.txt --out runs/quijote
  reprise train texts/ --out runs/large --rnn-size 512 --dropout 0.3 --max-minutes 120
  reprise train --out runs/quijote --resume --num-epochs 80
"""

# An option not given is None, so that --resume can tell what was given anew. TrainConfig has the defaults; the help
# shows them.
_Int = int | None
_Float = float | None
_Str = str | None


def _option(text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, show_default=False, **more)


def train(
    data: Annotated[list[str] | None, typer.Argument(help="Text files, folders, or - for standard input.")] = None,
    out: Annotated[_Str, _option("The run folder to write.", "--out", "-o")] = None,
    resume: Annotated[bool, _option("Go on exactly where the run in --out stopped.", "--resume")] = False,
    init_from: Annotated[_Str, _option("Take the weights, and nothing else, of this run or checkpoint.")] = None,
    model: Annotated[_Str, _option("lstm, gru or rnn [lstm].", "--model", "--cell")] = None,
    rnn_size: Annotated[_Int, _option("Hidden units of a layer [128].")] = None,
    num_layers: Annotated[_Int, _option("Recurrent layers [2].")] = None,
    embedding_size: Annotated[_Int, _option("Width of the token embedding; 0 feeds one-hot vectors [64].")] = None,
    seq_length: Annotated[_Int, _option("Time steps of a chunk: how far gradients go back [50].")] = None,
    batch_size: Annotated[_Int, _option("Parallel streams [50].")] = None,
    num_epochs: Annotated[_Int, _option("Passes over the text [50].", "--num-epochs", "--max-epochs")] = None,
    max_steps: Annotated[_Int, _option("Stop after so many steps in all.")] = None,
    max_minutes: Annotated[_Float, _option("Stop after so many minutes.")] = None,
    learning_rate: Annotated[_Float, _option("Of Adam [0.002].")] = None,
    learning_rate_decay: Annotated[_Float, _option("Factor for every later epoch [0.97].")] = None,
    learning_rate_decay_after: Annotated[_Int, _option("Epochs before the decay begins [10].")] = None,
    grad_clip: Annotated[_Float, _option("Largest global norm of the gradient; 0 does not clip [5].")] = None,
    dropout: Annotated[_Float, _option("Probability to drop an output of a layer while training [0].")] = None,
    seed: Annotated[_Int, _option("Of the first weights and of dropout [123].")] = None,
    val_frac: Annotated[_Float, _option("Part of the text, at its end, to validate on [0.05].")] = None,
    level: Annotated[_Str, _option("characters, bytes, words, or values (CSV, .npy: a forecast) [characters].")] = None,
    encoding: Annotated[_Str, _option("Of the text [utf-8].")] = None,
    vocabulary_size: Annotated[_Int, _option("Words to know, the most frequent ones [all].")] = None,
    end_of_text: Annotated[_Str, _option("A symbol to put after every file.")] = None,
    columns: Annotated[_Str, _option("Of numeric data, with commas between them [all].")] = None,
    checkpoint_every: Annotated[_Int, _option("Steps between checkpoints [an epoch, at most 1000].")] = None,
    keep: Annotated[_Int, _option("Checkpoints to keep beside the best [3].")] = None,
    sample_length: Annotated[_Int, _option("Symbols to sample at every checkpoint [200].")] = None,
    quiet: Annotated[bool, _option("Show only the table at the end.", "--quiet", "-q")] = False,
) -> None:
    """Train a recurrent model on text or numbers. Ctrl-C saves and leaves; --resume goes on as if it had not."""
    given = {name: value for name, value in locals().items() if value is not None and name not in ("resume", "quiet")}
    given["data"] = tuple(data or ())
    if columns is not None:
        given["columns"] = tuple(columns.split(","))
    if out is None:
        raise CallError("--out is missing: name the folder of the run, such as --out runs/mine")
    finished = _run(given, resume, quiet)
    if finished.signal:
        raise typer.Exit(128 + finished.signal)


def _run(given: dict[str, Any], resume: bool, quiet: bool) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the processor are no news to a user
    from reprise import train
    from reprise.train.display import Display

    with Display(quiet=quiet) as display:
        if not resume:
            return train.train(train.TrainConfig(**given), (display,))
        if not given["data"]:
            del given["data"]
        return train.resume(given.pop("out"), given, (display,))
