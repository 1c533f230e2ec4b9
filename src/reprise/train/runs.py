"""How a run begins: anew, from the weights of another, or exactly where it stopped."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reprise.errors import CallError, ReadError
from reprise.tensors import Array
from reprise.train import checkpoints, cudnn, loop, transfer
from reprise.train.cluster import Cluster, part_of
from reprise.train.config import TrainConfig
from reprise.train.data import Corpus, load_text, read_numeric, read_text
from reprise.train.data.cache import FACTS_FILE, TOKENS_FILE
from reprise.train.data.documents import find_documents
from reprise.train.data.numeric import VALIDATION, keep_validation
from reprise.train.data.table import read_as_text
from reprise.train.events import Finished, Observer, Started
from reprise.train.history import HISTORY
from reprise.train.interrupts import deferred
from reprise.train.learner import Learner
from reprise.train.lock import LOCK, existing_folder, locked_folder
from reprise.train.model import Architecture, parameter_shapes
from reprise.train.records import EVENTS, README, History, TensorBoard, write_readme
from reprise.vocabulary import Vocabulary

#: What a run puts into its folder before its first checkpoint.
_BEGINNINGS = (LOCK, checkpoints.BEST, VALIDATION, TOKENS_FILE, FACTS_FILE, HISTORY, EVENTS, README)


def train(config: TrainConfig, observers: tuple[Observer, ...] = ()) -> Finished:
    """Trains a new model in the folder `config.out`.

    Raises:
        CallError: The folder holds a run already, or flags contradict the data.
        ReadError: The data, or the run that `init_from` names, cannot be read.
        TrainingError: The loss exploded or is not a number; the last good checkpoint is kept.
        SaveError: A checkpoint could not be written.
    """
    if not config.data:
        raise CallError("no text to train on. Name files, folders, or - for standard input.")
    folder, cluster = Path(config.out), Cluster.of_environment(config.workers)
    with cluster.together(), ExitStack() as stack:
        _take_new(folder, cluster, stack)
        return _begun(replace(config, workers=cluster.workers), cluster, observers)


def _take_new(folder: Path, cluster: Cluster, stack: ExitStack) -> None:
    """Makes a folder for a new run, and locks it; `stack` leaves it as it was if the run comes to no checkpoint.

    Raises:
        CallError: The folder holds a run, or files that a run would replace, or another trainer works in it.
        SaveError: Nothing can be written there.
    """
    there = [name for name in _BEGINNINGS if (folder / name).exists()]
    if there and LOCK not in there and not checkpoints.complete(folder):
        raise CallError(f"{folder}: holds {', '.join(there)}, which a run would replace. Give another --out.")
    with deferred():  # an interrupt finds everything that was made on the stack
        stack.enter_context(existing_folder(folder))
        stack.enter_context(_folder_lock(folder, cluster))
        stack.enter_context(_removed_on_failure(folder, cluster))
    cluster.total([0])  # none reads before the first has cleared the folder
    if checkpoints.complete(folder):
        raise CallError(f"{folder}: holds a run already. Go on with it by --resume, or give another --out.")


@contextmanager
def _removed_on_failure(folder: Path, cluster: Cluster) -> Iterator[None]:
    """Removes what a run has begun in its folder if it ends by an error without a whole checkpoint."""
    try:
        yield
    except BaseException:
        if cluster.is_first and not checkpoints.complete(folder):
            with deferred():
                for path in (folder / name for name in _BEGINNINGS):
                    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        raise


def _begun(config: TrainConfig, cluster: Cluster, observers: tuple[Observer, ...]) -> Finished:
    given = transfer.source(config.init_from) if config.init_from is not None else None
    config = transfer.shaped(config, given) if given else config
    corpus = _read_corpus(config, given.vocabulary if given else None, config.out, given=given)
    names = corpus.normalisation.columns if given and corpus.normalisation else ()
    if names and len({*names}) == len(names):
        config = replace(config, columns=names)  # a resumed run reads them in this order
    learner, about = _learner(config, corpus, cluster)
    notes = (*about, *(transfer.load(learner, given, corpus) if given else ()))
    progress = loop.Progress(0, learner.initial_state(config.batch_size))
    return _go(config, corpus, learner, progress, observers, cluster, notes=notes, warnings=_warnings(config))


def _warnings(config: TrainConfig) -> tuple[str, ...]:
    """What the data seems to be, where that is not what it is read as."""
    files = [source for source in config.data if Path(source).is_file() or Path(source).is_dir()]
    if config.level == "values":
        return (f"{', '.join(config.data)}: read as numbers; --level characters reads the characters",)
    if not files:
        return ()
    warning = read_as_text(find_documents(files, Path(config.out), without=Path(config.out)))
    return (warning,) if warning else ()


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
    checkpoints.present(folder)
    changes = dict(given)
    cluster = Cluster.of_environment(changes.pop("workers", 1))
    with cluster.together(), _folder_lock(folder, cluster):
        cluster.total([0])  # none reads before the first has cleared the folder
        return _resumed(folder, changes, cluster, observers)


def _folder_lock(folder: Path, cluster: Cluster) -> AbstractContextManager[None]:
    """The lock on the folder, which the first worker holds for all."""
    return locked_folder(folder) if cluster.is_first else nullcontext()


def _resumed(folder: Path, given: Mapping[str, Any], cluster: Cluster, observers: tuple[Observer, ...]) -> Finished:
    step, checkpoint, wrong = checkpoints.newest(folder)
    before = TrainConfig.from_json(checkpoint.config)
    config = before.shared_by(cluster.workers).changed({"out": str(folder), **given})
    corpus = _same(config, checkpoint, anew="data" in given)
    learner, about = _learner(config, corpus, cluster)
    learner.assign({name: checkpoint.values[name] for name in learner.variables})
    progress = loop.Progress.of_values(checkpoint.values)
    progress = replace(progress, states=part_of(progress.states, cluster))
    cluster.total([0])  # none writes before all have read
    if wrong and cluster.is_first:
        checkpoints.announce(folder, [s for s in checkpoints.complete(folder) if s <= step])
    notes, warnings = (*about, _how_exact(step, before, config)), tuple(f"passed over: {message}" for message in wrong)
    return _go(config, corpus, learner, progress, observers, cluster, notes=notes, warnings=warnings, saved=True)


def _how_exact(step: int, before: TrainConfig, now: TrainConfig) -> str:
    if before.learning_rate != now.learning_rate:
        return (
            f"resumed after step {step} with the learning rate {now.learning_rate:g} instead of "
            f"{before.learning_rate:g}, each before its decay: from here on it is another run, and exact again"
        )
    if before.workers == now.workers:
        return f"resumed exactly after step {step}"
    return (
        f"resumed after step {step} with {now.workers} workers instead of {before.workers}: the same streams, split "
        "again; sums are rounded in another order, so losses agree to about 1e-5 and not to the bit"
    )


def _go(
    config: TrainConfig,
    corpus: Corpus,
    learner: Learner,
    progress: loop.Progress,
    observers: tuple[Observer, ...],
    cluster: Cluster,
    *,
    notes: tuple[str, ...],
    warnings: tuple[str, ...] = (),
    saved: bool = False,
) -> Finished:
    folder = Path(config.out)
    training, validation = corpus.streams(config.batch_size * cluster.workers, config.seq_length)
    records: tuple[Observer, ...] = ()
    if cluster.is_first:
        records = (History(folder, progress.position), TensorBoard(folder), write_readme, *observers)
    run = loop.Run(
        config=config,
        folder=folder,
        learner=learner,
        training=training.part(cluster.worker, cluster.workers),
        validation=validation.part(cluster.worker, cluster.workers) if validation else None,
        vocabulary=corpus.vocabulary,
        about={**config.to_json(), "corpus": corpus.fingerprint, **_columns(corpus)},
        constants=_constants(corpus),
        observers=records,
        cluster=cluster,
    )
    if cluster.is_first and config.level == "values":
        keep_validation(corpus, folder)
    _check_same(run, corpus)
    run.tell(replace(_started(run, corpus, progress), notes=notes, warnings=warnings))
    return loop.train(run, progress, saved=saved)


def _check_same(run: loop.Run, corpus: Corpus) -> None:
    """Workers that differ here would each train another model, and none would notice."""
    if run.cluster.workers == 1:
        return
    options = {name: value for name, value in run.config.to_json().items() if name not in ("data", "out")}
    weights = b"".join(np.asarray(value).tobytes() for value in run.learner.values().values())
    facts = {"the options": repr(options).encode(), "the data": corpus.fingerprint.encode(), "the weights": weights}
    for what, fact in facts.items():
        run.cluster.check_same(what, fact)


def _started(run: loop.Run, corpus: Corpus, progress: loop.Progress) -> Started:
    shapes = parameter_shapes(run.learner.model).values()
    return Started(
        folder=run.folder,
        config=run.config,
        model=run.learner.model,
        step=progress.position,
        total_steps=run.total_steps,
        steps_per_epoch=run.training.chunks_per_epoch,
        tokens=corpus.steps,
        parameters=sum(int(np.prod(shape)) for shape in shapes),
    )


def _learner(config: TrainConfig, corpus: Corpus, cluster: Cluster) -> tuple[Learner, tuple[str, ...]]:
    """What learns, and what there is to tell about how this machine computes it."""
    model = Architecture(
        cell=config.model,
        num_layers=config.num_layers,
        rnn_size=config.rnn_size,
        embedding_size=config.embedding_size,
        input_size=corpus.width,
        task="text" if corpus.vocabulary else "forecast",
    )
    layer, notes = cudnn.chosen(model.cell)
    learner = Learner(
        model,
        seed=config.seed,
        forget_bias=config.forget_bias or 0,
        grad_clip=config.grad_clip,
        dropout=config.dropout,
        cluster=cluster,
        layer=layer,
    )
    return learner, notes


def _columns(corpus: Corpus) -> dict[str, Any]:
    return {"column_names": list(corpus.normalisation.columns)} if corpus.normalisation else {}


def _constants(corpus: Corpus) -> dict[str, Array]:
    """What the saved graph holds beside trained numbers: from the units of the source to those of the model."""
    known = corpus.normalisation
    return {f"normalisation/{name}": np.array(getattr(known, name), np.float32) for name in ("mean", "std") if known}


def _read_corpus(
    config: TrainConfig,
    vocabulary: Vocabulary | None,
    cache: str | None,
    *,
    given: checkpoints.Checkpoint | None = None,
) -> Corpus:
    """The corpus of a configuration; for weights that are given, what they know comes first and in their order."""
    if config.level == "values":
        return read_numeric(
            config.data,
            columns=config.columns,
            header=config.header,
            encoding=config.encoding,
            val_frac=config.val_frac,
            order=given.config.get("column_names", ()) if given else (),
            fill=config.fill or "",
        )
    return read_text(
        config.data,
        level=config.level,
        encoding=config.encoding,
        vocabulary=vocabulary,
        extend=given is not None,
        vocabulary_size=config.vocabulary_size if given or not vocabulary else None,
        end_of_text=config.end_of_text,
        val_frac=config.val_frac,
        cache_dir=cache,
    )


def _same(config: TrainConfig, checkpoint: checkpoints.Checkpoint, *, anew: bool) -> Corpus:
    """The corpus of a run: as it lies in the run folder, unless the data was given anew, or read again.

    Raises:
        CallError: The data cannot be read, or is not what the run was started with.
    """
    wanted = checkpoint.config["corpus"]
    known = _cached(config, wanted)
    if known is not None and not anew:
        return known
    sources = ", ".join(config.data)
    wrong = f"{sources}: it came from standard input, which must be given again"
    if anew or "-" not in config.data:
        wrong = f"{sources}: its content is not what the run was started with"
        try:
            with tempfile.TemporaryDirectory(dir=config.out, prefix=".corpus-") as beside:
                corpus = _read_corpus(config, checkpoint.vocabulary, beside if known else config.out)
            if corpus.fingerprint == wanted:
                return corpus
        except (ReadError, CallError) as error:
            wrong = str(error).rstrip(".")
    raise CallError(
        f"{wrong}. --resume needs the same data to go on exactly; "
        "to train the weights on other data use --init-from with a new --out."
    )


def _cached(config: TrainConfig, wanted: str) -> Corpus | None:
    """The corpus in the run folder, if it is whole and the one that is wanted."""
    with suppress(ReadError):
        corpus = load_text(config.out, config.val_frac)
        return corpus if corpus.fingerprint == wanted else None
    return None
