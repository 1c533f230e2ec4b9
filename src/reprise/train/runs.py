"""How a run begins: anew, from the weights of another, or exactly where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reprise.errors import CallError, ReadError, VocabularyError
from reprise.tensors import Array
from reprise.train import checkpoints, loop, transfer
from reprise.train.config import TrainConfig
from reprise.train.data import Corpus, NumericCorpus, load_corpus, read_corpus, read_numeric
from reprise.train.data.numeric import Normalisation
from reprise.train.events import Finished, Observer, Started
from reprise.train.learner import Learner
from reprise.train.model import Architecture, parameter_shapes
from reprise.train.records import History, TensorBoard, write_readme
from reprise.vocabulary import Vocabulary

AnyCorpus = Corpus | NumericCorpus


def train(config: TrainConfig, observers: tuple[Observer, ...] = ()) -> Finished:
    """Trains a new model in the folder `config.out`.

    Raises:
        CallError: The folder holds a run already, or flags contradict the data.
        ReadError: The data, or the run that `init_from` names, cannot be read.
        TrainingError: The loss exploded or is not a number; the last good checkpoint is kept.
        SaveError: A checkpoint could not be written.
    """
    folder = Path(config.out)
    if checkpoints.complete(folder):
        raise CallError(f"{folder}: holds a run already. Go on with it by --resume, or give another --out.")
    if not config.data:
        raise CallError("no text to train on. Name files, folders, or - for standard input.")
    given = transfer.source(config.init_from) if config.init_from else None
    config = transfer.shaped(config, given) if given else config
    corpus = _read(config, transfer.vocabulary(config, given) if given else None)
    learner = _learner(config, corpus)
    notes = transfer.load(learner, given, corpus) if given else ()
    place = loop.Place(0, learner.initial_state(config.batch_size))
    return _go(config, corpus, learner, place, observers, notes=notes, saved=False)


def resume(folder: Path, given: Mapping[str, Any], observers: tuple[Observer, ...] = ()) -> Finished:
    """Goes on with a run exactly where its last whole checkpoint is, as if it had never stopped.

    Args:
        folder: Of the run.
        given: Flags given anew; only those in `config.CHANGEABLE` may differ.
        observers: Told of every event.

    Raises:
        CallError: A flag or the data would change what the run computes.
        ReadError: The folder holds no whole checkpoint.
        TrainingError, SaveError: As `train`.
    """
    step, checkpoint, wrong = checkpoints.newest(folder)
    config = TrainConfig.from_json(checkpoint.config).changed({"out": str(folder), **given})
    corpus = _same(config, checkpoint)
    learner = _learner(config, corpus)
    learner.assign({name: checkpoint.values[name] for name in learner.variables})
    place = loop.Place.of_values(checkpoint.values)
    if wrong:
        checkpoints.announce(folder, [s for s in checkpoints.complete(folder) if s <= step])
    notes = (*(f"passed over: {message}" for message in wrong), f"resumed exactly after step {step}")
    return _go(config, corpus, learner, place, observers, notes=notes, saved=True)


def _go(
    config: TrainConfig,
    corpus: AnyCorpus,
    learner: Learner,
    place: loop.Place,
    observers: tuple[Observer, ...],
    *,
    notes: tuple[str, ...],
    saved: bool,
) -> Finished:
    folder = Path(config.out)
    training, validation = corpus.streams(config.batch_size, config.seq_length)
    records: tuple[Observer, ...] = (History(folder, place.position), TensorBoard(folder), write_readme)
    run = loop.Run(
        config=config,
        folder=folder,
        learner=learner,
        training=training,
        validation=validation,
        vocabulary=_vocabulary(corpus),
        about={**config.to_json(), "corpus": corpus.fingerprint},
        constants=_constants(corpus),
        observers=(*records, *observers),
    )
    run.tell(_started(run, corpus, place, notes))
    return loop.train(run, place, saved=saved)


def _started(run: loop.Run, corpus: AnyCorpus, place: loop.Place, notes: tuple[str, ...]) -> Started:
    shapes = parameter_shapes(run.learner.model).values()
    return Started(
        folder=run.folder,
        config=run.config,
        model=run.learner.model,
        step=place.position,
        total_steps=run.total_steps,
        steps_per_epoch=run.training.chunks_per_epoch,
        tokens=len(corpus.ids) if isinstance(corpus, Corpus) else sum(map(len, corpus.series)),
        parameters=sum(int(np.prod(shape)) for shape in shapes),
        notes=notes,
    )


def _learner(config: TrainConfig, corpus: AnyCorpus) -> Learner:
    symbols = _vocabulary(corpus)
    model = Architecture(
        cell=config.model,
        num_layers=config.num_layers,
        rnn_size=config.rnn_size,
        embedding_size=config.embedding_size,
        input_size=len(corpus.normalisation.columns) if isinstance(corpus, NumericCorpus) else len(corpus.vocabulary),
        task="forecast" if symbols is None else "text",
    )
    return Learner(model, seed=config.seed, grad_clip=config.grad_clip, dropout=config.dropout)


def _vocabulary(corpus: AnyCorpus) -> Vocabulary | None:
    return corpus.vocabulary if isinstance(corpus, Corpus) else None


def _constants(corpus: AnyCorpus) -> dict[str, Array]:
    """What the saved graph holds beside trained numbers: from the units of the source to those of the model."""
    if isinstance(corpus, Corpus):
        return {}
    found = corpus.normalisation
    return {f"normalisation/{name}": np.array(getattr(found, name), np.float32) for name in ("mean", "std")}


def _read(config: TrainConfig, vocabulary: Vocabulary | None, normalisation: Normalisation | None = None) -> AnyCorpus:
    if config.level == "values":
        return read_numeric(
            config.data,
            columns=config.columns,
            encoding=config.encoding,
            val_frac=config.val_frac,
            normalisation=normalisation,
        )
    return read_corpus(
        config.data,
        level=config.level,
        encoding=config.encoding,
        vocabulary=vocabulary,
        vocabulary_size=None if vocabulary else config.vocabulary_size,
        end_of_text=config.end_of_text,
        val_frac=config.val_frac,
        cache_dir=config.out,
    )


def _same(config: TrainConfig, checkpoint: checkpoints.Checkpoint) -> AnyCorpus:
    """The corpus of a run: as it lies in the run folder, or read again."""
    attempts: tuple[Callable[[], AnyCorpus], ...] = (
        lambda: load_corpus(config.out, config.val_frac),
        lambda: _read(config, checkpoint.vocabulary),
    )
    for attempt in attempts[config.level == "values" :]:
        try:
            corpus = attempt()
        except (ReadError, VocabularyError) as error:
            wrong = str(error)
            continue
        if corpus.fingerprint == checkpoint.config["corpus"]:
            return corpus
        wrong = "its content is not what the run was started with"
    raise CallError(
        f"{', '.join(config.data)}: {wrong}. --resume needs the same data to go on exactly; "
        "to train the weights on other data use --init-from with a new --out."
    )
