"""Small whole models, one or more of every format, which the campaign damages.

The contract of a format says how a small model of it is written; here stands what it does not: other forms of the same
format, and what is read beside models.
"""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np

from reprise.export import export
from reprise.state import State
from tests.export.models import model
from tests.formats.contract import contracts
from tests.formats.test_char_rnn import char_rnn

SYMBOLS = list("abcdefg")


def _language_model(folder, functional=False):
    from tests.tensorflow.building import language_model, saved_by_tensorflow, session

    with session(functional=functional) as opened:
        built = language_model()
        saved_by_tensorflow(opened, folder / "model.ckpt")
        return opened.graph.as_graph_def(), opened, built


def checkpoint(folder):
    _language_model(folder)
    (folder / "vocab.json").write_text(json.dumps({s: i for i, s in enumerate(SYMBOLS)}))
    return folder / "model.ckpt"


def functional_checkpoint(folder):
    _language_model(folder, functional=True)
    (folder / "chars_vocab.pkl").write_bytes(pickle.dumps((SYMBOLS, {s: i for i, s in enumerate(SYMBOLS)}), 2))
    return folder / "model.ckpt"


def old_checkpoint(folder):
    from tests.tensorflow.building import language_model, saved_by_tensorflow, session, v1

    with session() as opened:
        language_model()
        saved_by_tensorflow(opened, folder / "model.ckpt", write_version=v1.train.SaverDef.V1)
    return folder / "model.ckpt"


def weights_with_a_graph_beside(folder):
    _language_model(folder)
    (folder / "model.ckpt.meta").rename(folder / "graph.meta")
    return folder / "model.ckpt"


def frozen(folder):
    from tests.tensorflow.building import language_model, session, tf, v1

    with session() as opened:
        built = language_model()
        opened.run(v1.global_variables_initializer())
        outputs = [built["logits"].op.name, *(t.op.name for t in built["last"])]
        graph = tf.compat.v1.graph_util.convert_variables_to_constants(opened, opened.graph.as_graph_def(), outputs)
    (folder / "frozen.pb").write_bytes(graph.SerializeToString())
    return folder / "frozen.pb"


def saved_model(folder):
    from tests.tensorflow.building import language_model, session, v1

    with session() as opened:
        built = language_model()
        opened.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(opened, str(folder / "model"), {"x": built["ids"]}, {"y": built["logits"]})
    return folder / "model"


def exported(folder):
    export(model(initial="file"), folder / "m.onnx", steps=1)
    return folder / "m.onnx"


def graph_of_modules(folder):
    char_rnn(folder / "m.t7")
    return folder / "m.t7"


def state(folder):
    State({"c": np.ones((2, 3), np.float32), "t": np.int32(4)}, "abc", ["c"]).save(folder / "s.safetensors")
    return folder / "s.safetensors"


def arrays(folder):
    np.savez(folder / "in.npz", ids=np.zeros((1, 3), np.int32), scale=np.float32(1))
    return folder / "in.npz"


def symbols(suffix, content):
    def write(folder):
        (folder / f"vocab{suffix}").write_bytes(content)
        return folder / f"vocab{suffix}"

    return write


#: By name; what is no model has the name of its kind first.
OWN = {
    "tf_checkpoint, frames": checkpoint,
    "tf_checkpoint, functions": functional_checkpoint,
    "tf_checkpoint, Saver V1": old_checkpoint,
    "tf_checkpoint, graph beside": weights_with_a_graph_beside,
    "tf_frozen": frozen,
    "tf_saved_model": saved_model,
    "onnx, ours": exported,
    "Lua Torch, char-rnn": graph_of_modules,
    "state": state,
    "arrays": arrays,
    "vocabulary, json": symbols(".json", json.dumps({"symbols": SYMBOLS, "kind": "characters"}).encode()),
    "vocabulary, pickle": symbols(".pkl", pickle.dumps({s: i for i, s in enumerate(SYMBOLS)}, 4)),
    "vocabulary, old pickle": symbols(".pkl", pickle.dumps((np.arange(3), SYMBOLS), 0)),
    "vocabulary, text": symbols(".txt", "\n".join(SYMBOLS).encode()),
    "vocabulary, table": symbols(".csv", b"symbol,id\n" + b"".join(b"%c,%d\n" % (97 + i, i) for i in range(9))),
}


def seeds():
    """How each seed is written: by the contract of every format, and those above."""
    return {name: made.write for name, made in contracts().items()} | OWN


def write_all(folder):
    """Writes every seed into a folder of its own; gives what each is: its kind, its folder and the path to name."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    written = []
    for number, (name, write) in enumerate(seeds().items()):
        place = Path(folder) / f"{number:02d}"
        place.mkdir(parents=True)
        path = write(place)
        kind = name.split(",")[0]
        written.append({"name": name, "kind": kind, "folder": str(place), "path": str(path.relative_to(place))})
    (Path(folder) / "seeds.json").write_text(json.dumps(written))
    return written


if __name__ == "__main__":
    import sys

    write_all(sys.argv[1])
