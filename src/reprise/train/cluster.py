"""Several processes that train one model: what each does alone, and where they must agree.

Every worker holds all variables and its own part of the streams. Gradients are averaged at every step, so the variables
stay the same everywhere; the first worker writes. `TF_CONFIG` says who they are, as for all of TensorFlow.

A worker that dies ends the others at their next step; one that hangs, or whose machine is gone, ends them when it has
missed its heartbeats, within about a minute. Of workers that were launched on this machine the launcher sees which one
ends, so none need hurry: all may be stopped together, by Ctrl-Z or a machine that sleeps, and go on.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context

from reprise.errors import CallError, TrainingError
from reprise.tensors import Array
from reprise.train.launch import LIFELINE
from reprise.train.meeting import meet

v1 = tf.compat.v1

#: Seconds until a worker that met the others, and then does not connect to them, is lost.
CONNECTING_S = 60.0
#: Seconds that a worker whose end the launcher would see may be silent; otherwise it is TensorFlow's own number.
_STOPPED_S = 30 * 24 * 3600
#: What the survivors' operators raise.
_CONNECTION = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


@dataclass(frozen=True, slots=True)
class _Task:
    """A process of `TF_CONFIG`."""

    job: str
    index: int
    address: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """This process among the workers.

    Attributes:
        workers: How many there are.
        worker: Which one this is; 0 writes the checkpoints.
        strategy: What connects them; None if there is one.
        summed: Tensors to their sums over all workers; None if there is one.
    """

    workers: int = 1
    worker: int = 0
    strategy: Any = None
    summed: Any = None

    @classmethod
    def of_environment(cls, asked: int = 1) -> Cluster:
        """The cluster that `TF_CONFIG` describes, connected to; without it this process is alone.

        Args:
            asked: How many workers the run was asked to have; 1 is no wish.

        Raises:
            CallError: `TF_CONFIG` is not what TensorFlow documents, or not what was asked for.
            TrainingError: A worker was lost before all were connected.
        """
        tasks, place = _described(os.environ.get("TF_CONFIG") or "{}")
        workers = len(tasks)
        if asked not in (1, workers):
            raise CallError(
                f"--workers is {asked}, and TF_CONFIG connects {workers}. Leave --workers out; or start all by "
                f"`reprise train --workers {asked}`, without TF_CONFIG."
            )
        if workers == 1:
            return cls()
        meet([task.address for task in tasks], place)
        strategy = _connected(tasks)
        return cls(workers, place, strategy, _summation(strategy))

    @property
    def is_first(self) -> bool:
        """Whether this worker writes and speaks for all."""
        return self.worker == 0

    def rows(self, each: int) -> slice:
        """This worker's rows of what all workers hold together, `each` in each."""
        return slice(self.worker * each, (self.worker + 1) * each)

    def step(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls a function in which `mean` is used; to be traced, not inside control flow of that function."""
        return self.strategy.run(function, arguments) if self.strategy else function(*arguments)

    def mean(self, values: Sequence[Any]) -> list[Any]:
        """The mean of each value over all workers; inside `step`."""
        if not self.strategy:
            return list(values)
        replica = tf.distribute.get_replica_context()
        return list(replica.all_reduce(tf.distribute.ReduceOp.MEAN, list(values)))

    def total(self, numbers: Sequence[float]) -> list[float]:
        """The sums over all workers; every worker must call it, and goes on when all have."""
        if not self.strategy:
            return list(numbers)
        (sums,) = self.summed(tf.constant(numbers, tf.float64))
        return list(sums.numpy().tolist())

    def check_same(self, what: str, fact: bytes) -> None:
        """Holds a fact of this worker against the others'; every worker must call it.

        Raises:
            CallError: They differ.
        """
        digest = int.from_bytes(hashlib.sha256(fact).digest()[:6], "big")  # 48 bits, exact in a float64
        digests = self.total([digest * (worker == self.worker) for worker in range(self.workers)])
        if different := [worker for worker, other in enumerate(digests) if other != digests[0]]:
            raise CallError(f"{what} of workers {different} differ from the first's; start all for the same run")

    @contextmanager
    def together(self) -> Iterator[None]:
        """Tells an error of what connects the workers as what it is: one of them is gone.

        Raises:
            TrainingError: A worker was lost.
        """
        try:
            yield
        except _CONNECTION as error:
            if self.workers == 1:
                raise
            raise TrainingError(
                f"a worker was lost or cannot be reached ({type(error).__name__}); what it said last tells why. The "
                "last checkpoint is whole: go on by --resume, with the same number of workers or another."
            ) from error

    def joined(self, parts: Mapping[str, Any]) -> dict[str, Any]:
        """The rows of all workers, one below the other; every worker must call it."""
        if not self.strategy:
            return dict(parts)
        wide = []
        for part in map(np.asarray, parts.values()):
            rows = np.zeros((self.workers * len(part), *part.shape[1:]), part.dtype)
            rows[self.rows(len(part))] = part
            wide.append(tf.constant(rows))
        return dict(zip(parts, self.summed(*wide), strict=True))


def _described(setting: str) -> tuple[list[_Task], int]:
    """The workers in a `TF_CONFIG`, and which of them is this process."""
    try:
        described = json.loads(setting)
        tasks = [
            _Task(job, index, str(address))
            for job in ("chief", "worker")
            for index, address in enumerate(described["cluster"].get(job, ()))
        ]
        here = described["task"]["type"], int(described["task"]["index"])
        return tasks, [(task.job, task.index) for task in tasks].index(here)
    except KeyError:
        return [_Task("worker", 0, "")], 0
    except (ValueError, TypeError, AttributeError) as error:
        raise CallError(f"TF_CONFIG: {error}; expected a cluster of workers and the task that this is") from error


def _connected(tasks: Sequence[_Task]) -> Any:
    """The strategy of connected workers.

    Raises:
        TrainingError: One of them was not there in time.
    """
    # TensorFlow's own settings wait for an hour, and the leader forever. They have no public name.
    settings = context.context()
    job = v1.ConfigProto().experimental.coordination_config.coordinated_job_list.add
    settings.configure_coordination_service(
        service_type="standalone",
        service_leader=f"/job:{tasks[0].job}/replica:0/task:0",
        coordinated_jobs=[job(name=name, num_tasks=n) for name, n in Counter(task.job for task in tasks).items()],
        cluster_register_timeout_in_ms=int(1000 * CONNECTING_S),
        heartbeat_timeout_in_ms=1000 * _STOPPED_S if LIFELINE in os.environ else 0,
    )
    settings.coordination_service.cluster_register_with_barrier = True
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.OpError as error:
        why = f"{type(error).__name__}: {error.message.splitlines()[0]}"
        raise TrainingError(
            f"the workers met, and could not all connect within {CONNECTING_S:g} s ({why}). What each said last tells "
            "more. Nothing was changed: start all again."
        ) from error


def _summation(strategy: Any) -> Any:
    def summed(*values: Any) -> list[Any]:
        here = [tf.identity(value) for value in values]  # an argument has no device, and a reduction wants to know it
        return list(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, here))

    return tf.function(lambda *values: strategy.run(summed, values), autograph=False)


def part_of(values: Mapping[str, Array], cluster: Cluster) -> dict[str, Array]:
    """This worker's rows of values that `joined` made, whatever the number of workers was then."""
    return {name: value[cluster.rows(len(value) // cluster.workers)] for name, value in values.items()}
