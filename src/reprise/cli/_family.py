"""The options of char-rnn, torch-rnn, char-rnn-tensorflow and tensorflow-char-rnn, as `reprise` has them.

Each is an option that means the same, or a sentence that says what to do instead.
"""

from __future__ import annotations

from pathlib import Path

_DECAY = "Use --learning-rate-decay, the factor for every epoch after --learning-rate-decay-after."
_KEPT = "Use --dropout, the share that is dropped: 1 minus the share that is kept."
_VALIDATED = "Use --val-frac, the part to validate on; all the rest trains."
_DEVICE = "A GPU is used where TensorFlow finds one."
_RAW = "Name the text itself; it needs no preparation."
_FOLDER = "Use --out, the folder for all that a run writes."
_MODEL = "Name the model without an option: reprise sample MODEL."
_PROCESSOR = "Models run on the processor."
_DRAWN = "Symbols are drawn; --greedy takes the most probable one instead."

TRAIN = {
    "--save-dir": "--out",
    "--checkpoint-dir": "--out",
    "--output-dir": "--out",
    "--data-file": "--data-dir",
    "--hidden-size": "--rnn-size",
    "--wordvec-size": "--embedding-size",
    "--num-unrollings": "--seq-length",
    "--model-type": "--model",
    "--valid-frac": "--val-frac",
    "--save-every": "--checkpoint-every",
    "--eval-val-every": "--checkpoint-every",
    "--lr-decay-factor": "--learning-rate-decay",
    "--init-model": "--init-from",
    "--init-dir": "--init-from",
    "--decay-rate": _DECAY,
    "--lr-decay-every": _DECAY,
    "--output-keep-prob": _KEPT,
    "--input-keep-prob": _KEPT,
    "--train-frac": _VALIDATED,
    "--test-frac": _VALIDATED,
    "--gpu": _DEVICE,
    "--gpuid": _DEVICE,
    "--gpu-backend": _DEVICE,
    "--opencl": _DEVICE,
    "--input-h5": _RAW,
    "--input-json": _RAW,
    "--input-txt": _RAW,
    "--log-dir": _FOLDER,
    "--savefile": _FOLDER,
    "--checkpoint-name": _FOLDER,
    "--print-every": "The loss is always shown; --quiet hides it.",
}

SAMPLE = {
    "--init-dir": _MODEL,
    "--model-path": _MODEL,
    "--save-dir": _MODEL,
    "--gpu": _PROCESSOR,
    "--gpuid": _PROCESSOR,
    "--sample": _DRAWN,
    "--max-prob": _DRAWN,
    "--pick": _DRAWN,
}


def text_in(folder: str) -> str:
    """What `--data_dir` means: the file `input.txt` of the folder, where there is one."""
    named = Path(folder) / "input.txt"
    return str(named) if named.is_file() else folder
