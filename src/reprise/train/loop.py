"""The run: which chunk next, when to measure, when to save, when to stop. Every number comes from `Learner`."""

from __future__ import annotations

import math
import signal
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from reprise.errors import SaveError, TrainingError
from reprise.tensors import Array
from reprise.train import checkpoints
from reprise.train.cluster import Cluster
from reprise.train.config import TrainConfig
from reprise.train.data import Streams, Validation
from reprise.train.events import Advanced, Event, Finished, Observer, Saved, Validated
from reprise.train.interrupts import requests
from reprise.train.learner import Learner
from reprise.train.model import Named
from reprise.train.samples import sample_text
from reprise.train.saved_graph import meta_graph
from reprise.vocabulary import Vocabulary

#: Seconds of training between two looks at the clock, the keyboard and the progress display.
_PACE_S = 0.4
#: A loss this many times that of a model that knows nothing means that training has exploded.
_EXPLODED = 3.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is, beyond its variables: all that the next step depends on, and the best so far.

    Attributes:
        position: Steps made, which is also the position of the next chunk in the streams.
        states: The carried recurrent state, [N, H] each.
        best_loss: The lowest validation loss, infinity before the first.
        best_step: Its step.
    """

    position: int
    states: Named
    best_loss: float = math.inf
    best_step: int = 0

    def values(self, seed: int, rate: np.float32) -> dict[str, Any]:
        """The progress as variables of a checkpoint, with the seed and the learning rate of the next step."""
        return {
            "trainer/position": np.int64(self.position),
            "trainer/seed": np.int64(seed),
            "trainer/learning_rate": rate,
            "trainer/best_loss": np.float64(self.best_loss),
            "trainer/best_step": np.int64(self.best_step),
            **{f"trainer/state/{name}": state for name, state in self.states.items()},
        }

    @classmethod
    def of_values(cls, values: Named) -> Progress:
        """The inverse of `values`."""
        mark = "trainer/state/"
        states = {name.removeprefix(mark): value for name, value in sorted(values.items()) if name.startswith(mark)}
        best = float(values["trainer/best_loss"]), int(values["trainer/best_step"])
        return cls(int(values["trainer/position"]), states, *best)


@dataclass(frozen=True)
class Run:
    """Everything that a run consists of; the loop changes the learner's variables and nothing else.

    Attributes:
        folder: Where checkpoints go.
        training: The streams to learn from.
        validation: What to measure on, or None.
        vocabulary: What the ids mean; None for a forecast.
        about: The configuration and other facts that the MetaGraph shall carry.
        constants: Variables of the checkpoint that never change.
        observers: Told of every event.
        cluster: The workers that train together.
        started: When this process began the run, by the monotonic clock.
    """

    config: TrainConfig
    folder: Path
    learner: Learner
    training: Streams
    validation: Validation | None
    vocabulary: Vocabulary | None
    about: Named
    constants: Named
    observers: tuple[Observer, ...]
    cluster: Cluster = field(default_factory=Cluster)
    started: float = field(default_factory=time.monotonic)

    @property
    def total_steps(self) -> int:
        """Steps at which the run is complete."""
        steps = self.config.num_epochs * self.training.chunks_per_epoch
        return min(steps, self.config.max_steps or steps)

    @property
    def checkpoint_every(self) -> int:
        """Steps between checkpoints."""
        return self.config.checkpoint_every or min(1000, self.training.chunks_per_epoch)

    @cached_property
    def ignorant_loss(self) -> float:
        """The most that a model which knows nothing loses on a chunk, by a uniform guess or by forecasting the mean."""
        if self.vocabulary is not None:
            return math.log(max(2, len(self.vocabulary)))
        largest = (streams.largest for streams in (self.training, self.validation) if streams)
        return max(1.0, *largest) ** 2  # at least what is usual, as numbers that never change are all 0

    def learning_rate(self, position: int) -> np.float32:
        """The learning rate of the step at a position."""
        decays = max(0, position // self.training.chunks_per_epoch + 1 - self.config.learning_rate_decay_after)
        return np.float32(self.config.learning_rate * self.config.learning_rate_decay**decays)

    def why_over(self, progress: Progress) -> str:
        """Why the run ends here, or nothing if it goes on."""
        minutes, patience = self.config.max_minutes, self.config.patience
        if progress.position >= self.total_steps:
            return f"all {self.total_steps} steps are done"
        if (
            patience
            and progress.best_step
            and progress.position - progress.best_step >= patience * self.checkpoint_every
        ):
            return f"{patience} validations in a row were not better than that of step {progress.best_step}"
        if minutes is not None and time.monotonic() - self.started >= 60 * minutes:
            return f"its {minutes:g} minutes are over"
        return ""

    def tell(self, event: Event) -> None:
        """Tells every observer.

        Raises:
            SaveError: One could not write what it records.
        """
        try:
            for observer in self.observers:
                observer(event)
        except (OSError, tf.errors.OpError) as error:
            raise SaveError(
                f"{self.folder}: the record of the run could not be written ({error}). Its last checkpoint is whole: "
                "make room, and go on by --resume."
            ) from error


def train(run: Run, progress: Progress, *, saved: bool) -> Finished:
    """Trains on from `progress` until the run is complete, its time is up or a signal comes; then writes a checkpoint.

    Args:
        run: What to train.
        progress: Where to begin.
        saved: Whether `progress` is on disk already.

    Raises:
        TrainingError: The loss exploded or is not a number. What is on disk is the last good checkpoint.
        SaveError: A checkpoint could not be written.
    """
    with requests() as received:
        return _trained(run, progress, received, saved=saved)


def _trained(run: Run, progress: Progress, received: list[int], *, saved: bool) -> Finished:
    meta = _meta(run, progress)
    on_disk = progress.position if saved else _saved(run, progress, meta)
    steps, over, interrupted = _agreed(run, progress, 1, received)
    while not (over or interrupted):
        before = time.monotonic()
        progress = _advanced(run, progress, steps)
        pace = _paced(steps, time.monotonic() - before)
        if progress.position % run.checkpoint_every == 0:
            progress = _measured(run, progress)
            on_disk = _saved(run, progress, meta)
        steps, over, interrupted = _agreed(run, progress, pace, received)
    scheduled = progress.position % run.checkpoint_every == 0
    ended = progress if scheduled or interrupted else _measured(run, progress)
    if progress.position != on_disk:
        _saved(
            run, progress, meta
        )  # not `ended`: a run that goes on from here has the record of one that never stopped
    return _finished(run, ended, received or [signal.SIGTERM] * interrupted)


def _agreed(run: Run, progress: Progress, pace: int, received: list[int]) -> tuple[int, bool, bool]:
    """What all workers do next: so many steps, or nothing, since the run is over or any of them was interrupted."""
    steps = min(pace, _steps_to_stop(run, progress.position)) if run.cluster.is_first else 0
    totals = run.cluster.total([steps, bool(run.why_over(progress)), bool(received)])
    return int(totals[0]), totals[1] > 0, totals[2] > 0


def _steps_to_stop(run: Run, position: int) -> int:
    """Steps to the next checkpoint, or to the end if that is nearer."""
    return min(run.checkpoint_every - position % run.checkpoint_every, run.total_steps - position)


def _paced(steps: int, seconds: float) -> int:
    """How many steps to make at once: about `_PACE_S` of them, growing slowly since the first are slow."""
    return max(1, min(2 * steps, int(steps * _PACE_S / max(seconds, 1e-9))))


def _advanced(run: Run, progress: Progress, steps: int) -> Progress:
    """The progress after some steps, all of them with sound numbers."""
    positions = range(progress.position, progress.position + steps)
    started = time.monotonic()
    inputs, targets = (np.stack(part) for part in zip(*map(run.training.chunk, positions), strict=True))
    begins = np.stack([run.training.begins(position) for position in positions])
    rates = np.array([run.learning_rate(position) for position in positions], np.float32)
    losses, norms, states = run.learner.advance(inputs, targets, begins, rates, progress.states)
    _check(run, progress.position, losses, norms)
    tokens = steps * run.training.batch * run.training.seq_length
    run.tell(Advanced(positions.stop, losses, norms, rates, tokens, time.monotonic() - started))
    return replace(progress, position=positions.stop, states=states)


def _check(run: Run, position: int, losses: Array, norms: Array) -> None:
    """Refuses a loss or gradient that is not a number, and a loss that exploded."""
    good = np.isfinite(losses) & np.isfinite(norms) & (losses < _EXPLODED * run.ignorant_loss)
    if not good.all():
        at = int(np.argmin(good))
        found = f"the loss is {losses[at]:.4g} and the gradient norm {norms[at]:.4g}"
        raise _exploded(run, position + at + 1, found)


def _exploded(run: Run, step: int, found: str) -> TrainingError:
    rate, clip = run.config.learning_rate, run.config.grad_clip
    last = checkpoints.prefix_of(run.folder, max(checkpoints.complete(run.folder), default=0))
    return TrainingError(
        f"step {step}: {found}; a model that knows nothing loses at most {run.ignorant_loss:.4g}. Training stopped; "
        f"the last good checkpoint is {last}. Start again with a new --out and a smaller --learning-rate (now {rate:g})"
        f" or --grad-clip (now {f'{clip:g}' if clip else 'none'}); --init-from takes the weights of that checkpoint."
    )


def _measured(run: Run, progress: Progress) -> Progress:
    """The progress with the validation loss taken into account; the learner and the carried states stay as they are."""
    value = _validation_loss(run)
    step = progress.position
    if value is not None and not value < _EXPLODED * run.ignorant_loss:
        raise _exploded(run, step, f"the validation loss is {value:.4g}")
    better = progress
    if value is not None and value < progress.best_loss:
        better = replace(progress, best_loss=value, best_step=step)
    if run.cluster.is_first:
        text = sample_text(run.learner, run.vocabulary, run.config.sample_length, seed=(run.config.seed, step))
        run.tell(Validated(step, value, better is not progress, text))
    return better


def _validation_loss(run: Run) -> float | None:
    if run.validation is None:
        return None
    states: Named = run.learner.initial_state(run.validation.batch)
    total = count = 0.0
    for inputs, targets, fresh, counted in run.validation.chunks():
        states = {name: tf.where(fresh[:, None], 0.0, state) for name, state in states.items()}
        losses, states = run.learner.evaluate(inputs, targets, states)
        total, count = total + float(losses[counted].sum(dtype=np.float64)), count + float(counted.sum())
    total, count = run.cluster.total([total, count])
    return total / count


def _meta(run: Run, progress: Progress) -> bytes:
    specs = {name: tf.TensorSpec(np.shape(value), value.dtype) for name, value in _values(run, progress).items()}
    return meta_graph(run.learner.model, specs, vocabulary=run.vocabulary, config=run.about)


def _values(run: Run, progress: Progress) -> dict[str, Any]:
    everywhere = replace(progress, states=run.cluster.joined(progress.states))
    rate = run.learning_rate(progress.position)
    return {**run.learner.values(), **run.constants, **everywhere.values(run.config.seed, rate)}


def _saved(run: Run, progress: Progress, meta: bytes) -> int:
    """Writes a checkpoint, removes those no longer kept, and gives the step."""
    step, values = progress.position, _values(run, progress)
    if not run.cluster.is_first:
        return step
    prefix = checkpoints.write(run.folder, step, values, meta)
    present = [s for s in checkpoints.complete(run.folder) if s <= step]
    checkpoints.announce(run.folder, {*present[-run.config.keep :], *({progress.best_step} & {*present})})
    checkpoints.announce_best(run.folder, progress.best_step, progress.best_loss)
    run.tell(Saved(step, prefix, progress.best_step))
    return step


def _finished(run: Run, progress: Progress, received: list[int]) -> Finished:
    why = f"{signal.Signals(received[0]).name} was received" if received else run.why_over(progress)
    number = received[0] if received else 0
    seconds = time.monotonic() - run.started
    if progress.best_step not in checkpoints.complete(run.folder):  # it was lost, as was what came after it
        progress = replace(progress, best_loss=math.inf, best_step=0)
    if run.cluster.is_first:
        checkpoints.announce_best(run.folder, progress.best_step, progress.best_loss)
    finished = Finished(
        folder=run.folder,
        forecast=run.vocabulary is None,
        why=why,
        signal=number,
        step=progress.position,
        best_step=progress.best_step,
        best_loss=progress.best_loss,
        seconds=seconds,
        more=_more(run, progress),
        unit=run.config.loss_unit,
    )
    run.tell(finished)
    return finished


def _more(run: Run, progress: Progress) -> str:
    position = progress.position
    steps, epochs, workers = run.config.max_steps, position / run.training.chunks_per_epoch, run.cluster.workers
    more = f" --workers {workers}" if workers > 1 else ""
    if steps and position >= steps:
        more += f" --max-steps {2 * position}"
    if run.config.patience and run.why_over(progress).startswith(f"{run.config.patience} "):
        more += f" --patience {2 * run.config.patience}"
    if epochs >= run.config.num_epochs:
        more += f" --num-epochs {2 * math.ceil(epochs)}"
    return more
