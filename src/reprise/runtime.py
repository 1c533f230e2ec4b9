"""Runs a lifted model on ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime

from reprise.deadline import Deadlines
from reprise.errors import CallError, LiftError
from reprise.lift import Opsets, without_weights
from reprise.lift.model import every_node
from reprise.tensors import Array
from reprise.wire import onnx

#: A step of an LSTM of 500 units takes 66 µs on two threads and 108 on one (an AMD EPYC with two cores); more gain
#: little, and a program that serves many sessions at once is better off with one.
THREADS = min(2, os.cpu_count() or 1)

#: How long a loop may run before it is taken for one without an end, and how much longer for each number that is fed.
TIME_LIMIT = 30.0
SECONDS_EACH = 0.01


#: Products with stored int8 weights take float32 numbers as they are; by default they are cut to int8, an error of 1 %.
_PRODUCTS_IN_FULL = ("session.qdq_matmulnbits_accuracy_level", "1")


class Engine:
    """One ONNX graph, ready to run. Holds no state between calls, so threads may share it."""

    def __init__(
        self,
        graph: onnx.Message,
        weights: Mapping[str, Array],
        threads: int = THREADS,
        opsets: Opsets = (),
        time_limit: float = TIME_LIMIT,
    ) -> None:
        """Loads `graph`; ONNX Runtime copies the weights once, and nothing of them is kept here.

        Source: `AddExternalInitializers` in onnxruntime_c_api.h: once the model is loaded, buffers may be freed.

        Raises:
            LiftError: ONNX Runtime refuses the graph.
            CallError: There is no such number of threads, or no such time.
        """
        options = onnxruntime.SessionOptions()
        if threads < 1:
            raise CallError(f"threads: expected at least 1, found {threads}; 1 is best beside other work")
        if not time_limit > 0:
            raise CallError(f"time_limit: expected seconds above 0, found {time_limit}; infinity is no limit")
        options.intra_op_num_threads = min(threads, os.cpu_count() or 1)
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised, and said once
        options.add_session_config_entry(*_PRODUCTS_IN_FULL)
        held = {name: np.asarray(array, order="C") for name, array in weights.items()}
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(a) for a in held.values()]
        options.add_external_initializers(list(held), values)
        data = without_weights(graph, held, opsets).SerializeToString()
        try:
            self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises classes of its own, without a common base that it exports
            raise LiftError(f"ONNX Runtime refuses the lifted graph: {_first_line(error)}") from error
        self.inputs = {i.name: _numpy_type(i.type) for i in self._session.get_inputs()}
        self.outputs = [o.name for o in self._session.get_outputs()]
        self._time_limit = time_limit
        self._deadlines = Deadlines() if any(node.op_type == "Loop" for node in every_node(graph.node)) else None

    def run(self, feeds: Mapping[str, Array], wanted: Sequence[str]) -> dict[str, Array]:
        """The outputs `wanted` for these inputs.

        Raises:
            LiftError: The numbers do not fit the graph (an id outside the table, a size that the file bakes in).
            CallError: A loop did not end in time.
        """
        typed = {
            name: np.asarray(array, self.inputs[name], order="C")
            for name, array in feeds.items()
            if name in self.inputs
        }
        try:
            results = self._run(list(wanted), typed)
        except CallError:
            raise
        except Exception as error:  # as above
            given = ", ".join(_described(name, array) for name, array in typed.items())
            raise LiftError(f"the model could not run on {given}: {_first_line(error)}") from error
        return dict(zip(wanted, results, strict=True))

    def _run(self, wanted: list[str], feeds: Mapping[str, Array]) -> Any:
        if self._deadlines is None:
            return self._session.run(wanted, feeds)
        seconds = self._time_limit + SECONDS_EACH * sum(array.size for array in feeds.values())
        with self._deadlines.within(seconds) as options:
            try:
                return self._session.run(wanted, feeds, options)
            except Exception as error:
                if options.terminate:
                    raise CallError(
                        f"the model did not end within {seconds:.0f} seconds and was stopped: a loop in it may have no "
                        "end. If it only needs longer, restore it with a larger time_limit (--time-limit)."
                    ) from error
                raise


def _first_line(error: Exception) -> str:
    """What ONNX Runtime says, without the place in its own program."""
    first = next(iter(str(error).splitlines()), type(error).__name__)
    return first.rpartition("Status Message: ")[2]


def _described(name: str, array: Array) -> str:
    """An input; of whole numbers, such as ids, their range is what does not fit, most often."""
    span = f" from {array.min()} to {array.max()}" if array.dtype.kind in "iu" and array.size else ""
    return f"{name} {array.dtype}{list(array.shape)}{span}"


def _numpy_type(name: str) -> np.dtype[np.generic]:
    kinds = {"float": "float32", "double": "float64", "string": "object"}
    inner = name.removeprefix("tensor(").removesuffix(")")
    return np.dtype(kinds.get(inner, inner))
