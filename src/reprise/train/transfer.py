"""Weights of one run as the first weights of another, row by row as the symbols are the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reprise.errors import CallError, MissingFile
from reprise.tensors import Array
from reprise.train import checkpoints
from reprise.train.checkpoints import Checkpoint
from reprise.train.config import TrainConfig, flag
from reprise.train.data import Corpus
from reprise.train.learner import Learner
from reprise.train.model import parameter_shapes

#: The axis of a parameter along which the vocabulary's symbols lie. In a model fed one-hot vectors they are also the
#: first rows of the first layer's input kernels.
_SYMBOL_AXIS = {"embedding": 0, "output/kernel": 1, "output/bias": 0}


def source(path: str) -> Checkpoint:
    """The checkpoint that `--init-from` means: the best or last of a run folder, or the prefix itself.

    Raises:
        ReadError: There is none, it is damaged, or another program wrote it.
    """
    if not path:  # which a path takes for the folder at hand
        raise MissingFile("--init-from names nothing; name a run folder or the prefix of a checkpoint")
    folder = Path(path)
    if not folder.is_dir():
        return checkpoints.read(folder)
    step = checkpoints.best(folder)
    return checkpoints.read(checkpoints.prefix_of(folder, step)) if step else checkpoints.newest(folder)[1]


def shaped(config: TrainConfig, given: Checkpoint) -> TrainConfig:
    """The configuration with the sizes of the model whose weights are taken.

    Raises:
        CallError: Its tokens are of another level, or another size was asked for.
    """
    model, default = given.model, TrainConfig((), "")
    level = given.vocabulary.kind if given.vocabulary else "values"
    if level != config.level:
        raise CallError(f"{given.prefix}: its model is one of {level}, --level is {config.level!r}")
    sizes: dict[str, Any] = {
        "model": model.cell,
        "num_layers": model.num_layers,
        "rnn_size": model.rnn_size,
        "embedding_size": model.embedding_size,
    }
    for name, value in sizes.items():
        if (asked := getattr(config, name)) not in (getattr(default, name), value):
            raise CallError(f"{given.prefix}: its {flag(name)} is {value!r}, which cannot become {asked!r}")
    return replace(config, **sizes)


def load(learner: Learner, given: Checkpoint, corpus: Corpus) -> tuple[str, ...]:
    """Gives the learner the weights, and says what was reused and what is new."""
    before = given.model.input_size
    added = learner.model.input_size - before
    if corpus.normalisation and added:
        raise CallError(f"{given.prefix}: its model takes {before} columns, the data has {before + added}")
    for name in parameter_shapes(learner.model):
        fresh = learner.variables[name].numpy()
        learner.assign({name: _grown(name, given.values[name], fresh, before)})
    note = f"weights of {given.prefix}; the optimizer, the carried state and the step count begin anew"
    if corpus.normalisation:
        names = corpus.normalisation.columns
        pairs = zip(given.config.get("column_names", names), names, strict=True)
        columns = ", ".join(new if new == old else f"{old} for {new}" for old, new in pairs)
        return note, f"{before} columns reused, in order: {columns}; this data's own mean and deviation scale them"
    new = corpus.vocabulary.symbols[before:] if corpus.vocabulary else ()
    shown = " ".join(map(repr, new[:20])) + (" …" if added > 20 else "")
    return note, f"{before} symbols reused, {added} new" + (f": {shown}" if new else "")


def _grown(name: str, old: Array, fresh: Array, before: int) -> Array:
    """The old numbers in the place of the same symbols, fresh ones elsewhere."""
    if old.shape == fresh.shape:
        return old
    axis = _SYMBOL_AXIS.get(name, 0)
    if axis == 1:
        return np.concatenate([old, fresh[:, before:]], 1)
    added = len(fresh) - len(old)
    return np.concatenate([old[:before], fresh[before : before + added], old[before:]], 0)
