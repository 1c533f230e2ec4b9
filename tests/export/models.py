"""A small language model with a plain recurrent cell, lifted by hand: ids [N, T] → logits [N, T, V], state [N, H]."""

from pathlib import Path

import numpy as np

from reprise.formats import StoredModel
from reprise.interface import Interface, Port, Setting, StatePort
from reprise.lift import Lifted
from reprise.model import RecurrentModel
from reprise.vocabulary import Vocabulary
from reprise.wire import onnx

V, H = 7, 5
WEIGHTS = {"E": (V, H), "W": (1, H, H), "R": (1, H, H), "O": (H, V)}


def interface(initial="zeros", settings=(), steppable=True):
    ids = Port("ids", "x:0", "int32", (None, None), 1, 0, "tokens")
    logits = Port("logits", "y:0", "float32", (None, None, V), 1, 0, "logits")
    state = StatePort("h", "zeros:0", "rnn/while/Exit_3:0", None, "float32", (None, H), 0, initial)
    return Interface((ids,), (logits,), (state,), settings, steppable, "", ("by hand",))


def graph(drop_state=False, still=False):
    one = onnx.tensor(np.ones(1, np.int64), "one")
    zero = onnx.tensor(np.zeros(1, np.int64), "zero")
    nodes = [
        onnx.node("Gather", ["E", "ids"], ["embedded"]),
        onnx.node("Transpose", ["embedded"], ["steps"], perm=[1, 0, 2]),
        onnx.node("Unsqueeze", ["state_in.h", "zero"], ["h"]),
        onnx.node("RNN", ["steps", "W", "R", "", "", "" if drop_state else "h"], ["Y", "Y_h"], hidden_size=H),
        onnx.node("Identity", ["state_in.h"], ["state_out.h"])
        if still
        else onnx.node("Squeeze", ["Y_h", "zero"], ["state_out.h"]),
        onnx.node("Squeeze", ["Y", "one"], ["hidden"]),
        onnx.node("MatMul", ["hidden", "O"], ["by time"]),
        onnx.node("Transpose", ["by time"], ["logits"], perm=[1, 0, 2]),
    ]
    info = onnx.value_info
    inputs = [info("ids", onnx.INT32, ["N", "T"]), info("state_in.h", onnx.ELEMENT_TYPES["float32"], ["N", H])]
    outputs = [
        info("logits", onnx.ELEMENT_TYPES["float32"], None),
        info("state_out.h", onnx.ELEMENT_TYPES["float32"], ["N", H]),
    ]
    return onnx.graph(nodes, "small", inputs, outputs, [one, zero])


def first_states():
    row = np.linspace(-1, 1, H, dtype=np.float32)[None]
    node = onnx.node("Identity", ["row"], ["h"])
    info = onnx.value_info("h", onnx.ELEMENT_TYPES["float32"], [1, H])
    return onnx.graph([node], "first", [], [info], [onnx.tensor(row, "row")]), {}


def model(seed=0, initial="zeros", settings=(), drop_state=False, still=False, changed=None, steppable=True):
    """`changed` exchanges weights for others."""
    random = np.random.default_rng(seed)
    weights = {n: random.normal(0, 0.5, s).astype(np.float32) for n, s in WEIGHTS.items()} | (changed or {})
    fixed = {s.name: s.value for s in settings}
    lifted = Lifted(interface(initial, settings, steppable), graph(drop_state, still), weights, fixed, ())
    stored = StoredModel(Path("by hand"), "hand", "", None)
    return RecurrentModel(stored, lambda chosen: lifted, first_states, Vocabulary.of_text("abcdefg"))


KEEP = Setting("keep", "keep:0", "float32", 1.0, "by hand")
