"""A small language model with a plain recurrent cell, lifted by hand: ids [N, T] → logits [N, T, V], state [N, H]."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from reprise.formats import StoredModel
from reprise.interface import Interface, Port, Setting, StatePort
from reprise.lift import Lifted
from reprise.model import RecurrentModel
from reprise.vocabulary import Vocabulary

V, H = 7, 5
WEIGHTS = {"E": (V, H), "W": (1, H, H), "R": (1, H, H), "O": (H, V)}


def interface(initial="zeros", settings=()):
    ids = Port("ids", "x:0", "int32", (None, None), 1, 0, "tokens")
    logits = Port("logits", "y:0", "float32", (None, None, V), 1, 0, "logits")
    state = StatePort("h", "zeros:0", "rnn/while/Exit_3:0", None, "float32", (None, H), 0, initial)
    return Interface((ids,), (logits,), (state,), settings, True, "", ("by hand",))


def graph(drop_state=False):
    one = helper.make_tensor("one", TensorProto.INT64, [1], [1])
    zero = helper.make_tensor("zero", TensorProto.INT64, [1], [0])
    nodes = [
        helper.make_node("Gather", ["E", "ids"], ["embedded"]),
        helper.make_node("Transpose", ["embedded"], ["steps"], perm=[1, 0, 2]),
        helper.make_node("Unsqueeze", ["state_in.h", "zero"], ["h"]),
        helper.make_node("RNN", ["steps", "W", "R", "", "", "" if drop_state else "h"], ["Y", "Y_h"], hidden_size=H),
        helper.make_node("Squeeze", ["Y_h", "zero"], ["state_out.h"]),
        helper.make_node("Squeeze", ["Y", "one"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "O"], ["by time"]),
        helper.make_node("Transpose", ["by time"], ["logits"], perm=[1, 0, 2]),
    ]
    info = helper.make_tensor_value_info
    inputs = [info("ids", TensorProto.INT32, ["N", "T"]), info("state_in.h", TensorProto.FLOAT, ["N", H])]
    outputs = [info("logits", TensorProto.FLOAT, None), info("state_out.h", TensorProto.FLOAT, ["N", H])]
    return helper.make_graph(nodes, "small", inputs, outputs, [one, zero])


def first_states():
    row = np.linspace(-1, 1, H, dtype=np.float32)[None]
    node = helper.make_node("Identity", ["row"], ["h"])
    info = helper.make_tensor_value_info("h", TensorProto.FLOAT, [1, H])
    return helper.make_graph([node], "first", [], [info], [numpy_helper.from_array(row, "row")]), {}


def model(seed=0, initial="zeros", settings=(), drop_state=False, changed=None):
    """`changed` exchanges weights for others."""
    random = np.random.default_rng(seed)
    weights = {n: random.normal(0, 0.5, s).astype(np.float32) for n, s in WEIGHTS.items()} | (changed or {})
    fixed = {s.name: s.value for s in settings}
    lifted = Lifted(interface(initial, settings), graph(drop_state), weights, fixed, ())
    stored = StoredModel(Path("by hand"), "hand", "", None)
    return RecurrentModel(stored, lambda chosen: lifted, first_states, Vocabulary.of_text("abcdefg"))


KEEP = Setting("keep", "keep:0", "float32", 1.0, "by hand")
