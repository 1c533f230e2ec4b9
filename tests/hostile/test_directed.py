"""Files made with intent: bombs, endless graphs, pipes and devices beside a model, weights exchanged under it."""

import os
import pickle
import time
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest

import reprise
from reprise import formats, lift, loading
from reprise.errors import DamagedFile, DiscoveryError, ReadError, RepriseError
from reprise.formats import _sidecars
from reprise.graph import Graph
from reprise.interface import discover
from reprise.wire import sstable
from reprise.wire.varint import Cut
from tests.export.models import KEEP, model
from tests.hostile.loops import const, loop_model, nested_calls, node
from tests.wire.test_sstable import table


def peak_of(what):
    """What `what()` gives or raises, and how many bytes it needed at once."""
    tracemalloc.start()
    try:
        what()
    except RepriseError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def bytes_of_a_number(folder):
    """`bytes(2**31)` as the content of an array: 2 GB for a file of a hundred bytes."""
    call = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    (folder / "vocab.pkl").write_bytes(call + b"(I1\n(I3\ntcnumpy\ndtype\n(S'f8'\nI0\nI1\ntRI00\nI2147483648\ntb.")


def lists_of_lists(folder):
    """Lists that hold one list again and again, five levels deep."""
    lists = ["a", 1]
    for _ in range(5):
        lists = [lists] * 64
    (folder / "vocab.pkl").write_bytes(pickle.dumps(lists))


def deep_json(folder):
    (folder / "vocab.json").write_text("[" * 100_000 + "]" * 100_000)


@pytest.mark.parametrize("bomb", [bytes_of_a_number, lists_of_lists, deep_json])
def test_a_bomb_beside_a_model_costs_little_and_stops_nothing(tmp_path, bomb):
    bomb(tmp_path)
    began = time.process_time()
    assert peak_of(lambda: _sidecars.find(tmp_path)) < 20_000_000
    assert time.process_time() - began < 5
    assert _sidecars.find(tmp_path).vocabulary is None


def test_keys_that_share_what_they_begin_with_are_bounded():
    shared = b"k" * 10_000
    pairs = {shared + b"%06d" % i: b"" for i in range(5_000)}
    data = table(pairs, per_block=5_000)
    assert len(data) < 100_000
    with pytest.raises(DamagedFile, match=r"the keys of a block of \d+ bytes are longer than \d+ together"):
        list(sstable.entries(data, Path("t")))


def test_blocks_that_lie_in_each_other_are_refused():
    with pytest.raises(Cut, match="the block at byte 0 begins within the one before it"):
        list(sstable._apart([sstable._Handle(0, 50), sstable._Handle(0, 50)]))


@pytest.mark.parametrize("name", ["vocab.json", "chars.pkl", "checkpoint", "other.meta", "m.ckpt.index", "m.ckpt.meta"])
@pytest.mark.parametrize("what", ["pipe", "device", "sparse"])
def test_what_is_no_file_beside_a_model_is_left_alone(tmp_path, name, what):
    if what == "pipe":
        os.mkfifo(tmp_path / name)
    elif what == "device":
        (tmp_path / name).symlink_to("/dev/zero")
    else:
        with (tmp_path / name).open("wb") as file:
            file.truncate(2**42)
    began = time.process_time()
    assert peak_of(lambda: formats.read(tmp_path)) < 20_000_000
    with pytest.raises(ReadError):
        formats.read(tmp_path)
    with pytest.raises(ReadError):
        formats.read_vocabulary(tmp_path / name)
    assert time.process_time() - began < 5


SHAPES = {"before": 4000, "inside": 4000, "after": 4000}


@pytest.mark.parametrize("op", ["Tanh", "Identity"])
@pytest.mark.parametrize("place", SHAPES)
def test_long_chains_take_time_in_proportion(place, op):
    def seconds(count):
        graph = loop_model(**{place: count}, op=op)
        began = time.process_time()
        lift.lift(discover(graph), lambda _: None, {})
        return time.process_time() - began

    assert seconds(4000) < 30 * max(seconds(500), 0.02)  # 8 in proportion, 64 were it quadratic


def test_a_state_of_a_negative_size_is_refused():
    graph = loop_model()
    first = node("h0", "Fill", "sizes", "0.0", T="float32", index_type="int32")
    graph = Graph.of([*(graph.nodes | {"h0": first}).values(), const("sizes", [2, -4]), const("0.0", np.float32(0))])
    with pytest.raises(DiscoveryError, match=r"would have the shape \[None, -4\]; a size is 0 or more"):
        discover(graph)


def test_calls_within_calls_are_refused_when_they_unfold_to_too_much():
    with pytest.raises(DiscoveryError, match="unfold to more than"):
        discover(nested_calls(18, 2))


@pytest.mark.parametrize("kind", ["while", "if"])
def test_loops_and_branches_within_each_other_are_bounded(kind):
    with pytest.raises(DamagedFile, match="loops and branches within each other"):
        discover(nested_calls(35, 1, kind))


def test_values_of_settings_do_not_fill_the_memory():
    tried = model(settings=(KEEP,))
    ids = np.zeros((1, 2), np.int32)
    for value in range(12):
        tried.run(ids, settings={"keep": float(value)})
    assert tried._graphs._built.cache_info().currsize == loading.KEPT


def test_weights_that_change_under_a_model_are_not_mixed(tmp_path, monkeypatch):
    """Small files are read once; of large ones, which stay mapped, a change is noticed."""
    from reprise.export import export

    export(model(), tmp_path / "m.onnx", steps=1)
    ids = np.zeros((1, 2), np.int32)
    kept = reprise.restore(tmp_path / "m.onnx")
    expected = reprise.restore(tmp_path / "m.onnx").run(ids)[0]["logits"]
    export(model(seed=9), tmp_path / "m.onnx", steps=1)
    np.testing.assert_array_equal(kept.run(ids)[0]["logits"], expected)
    monkeypatch.setattr("reprise.files.MAPPED", 0)
    large = reprise.restore(tmp_path / "m.onnx")
    export(model(), tmp_path / "m.onnx", steps=1)
    with pytest.raises(DamagedFile, match=r"m\.onnx: has changed since the model was restored"):
        large.run(ids)


def test_what_a_loop_gives_without_a_name_does_not_end_the_process(tmp_path):
    """ONNX Runtime 1.32 ends it."""
    helper, row = onnx.helper, [1, 4]
    nodes = [
        helper.make_node("Identity", ["go"], ["go_on"]),
        helper.make_node("Tanh", ["s"], ["next"]),
        helper.make_node("Identity", ["next"], ["out"]),
    ]
    typed = helper.make_tensor_value_info
    body = helper.make_graph(
        nodes,
        "body",
        [typed("i", 7, []), typed("go", 9, []), typed("s", 1, row)],
        [typed("go_on", 9, []), typed("next", 1, row), typed("out", 1, row)],
    )
    loop = helper.make_node("Loop", ["n", "", "first"], ["", "all"], body=body)
    graph = helper.make_graph([loop], "g", [typed("n", 7, []), typed("first", 1, row)], [typed("all", 1, ["t", *row])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "m.onnx")
    model = reprise.restore(tmp_path / "m.onnx")
    outputs, _ = model.run({"n": np.int64(3), "first": np.ones(row, np.float32)})
    np.testing.assert_allclose(outputs["all"].ravel()[::4], [0.7616, 0.642, 0.5663], atol=1e-4)
