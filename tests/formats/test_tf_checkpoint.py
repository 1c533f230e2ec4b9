"""Checkpoints that TensorFlow wrote, against what was put into them; and what is said of those that are not whole."""

import contextlib
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from reprise import formats
from reprise.errors import AmbiguousFormat, CallError, DamagedFile, MissingFile, ReadError
from reprise.formats._tensorflow import tensor_bundle
from reprise.tensors import in_memory
from reprise.wire import messages
from tests.formats.contract import FormatContract

v1 = tf.compat.v1

FORMS = ("v2/model.ckpt-300", "sharded/model.ckpt", "v1/model.ckpt", "v1-sharded", "v1-sharded/model.ckpt-300")


class TestContract(FormatContract):
    name = "TensorFlow checkpoint"

    @classmethod
    def write(cls, folder):
        with tf.Graph().as_default(), v1.Session() as session:
            kernel = v1.get_variable("kernel", initializer=np.full((2, 3), 7, np.float32), use_resource=False)
            tf.matmul(v1.placeholder(tf.float32, [None, 2], "x"), kernel, name="y")
            session.run(v1.global_variables_initializer())
            v1.train.Saver().save(session, str(folder / "model.ckpt"))
        return folder / "model.ckpt.index"


def numbers(model):
    return {name: np.asarray(model.weights[name].load()) for name in model.weights if "[" not in name}


def assert_same(model, expected):
    found = numbers(model)
    assert found.keys() <= expected.keys()
    for name, array in found.items():
        assert array.shape == expected[name].shape
        assert np.array_equal(array.astype(expected[name].dtype), expected[name]), name


@pytest.mark.parametrize("form", FORMS)
def test_every_tensor_holds_what_was_saved(saved, form):
    folder, expected = saved
    model = formats.read(folder / form)
    assert_same(model, expected)
    assert {"cell/kernel", "cell/bias", "step", "wide"} <= model.weights.keys()


@pytest.mark.parametrize("form", FORMS)
def test_every_variable_that_was_saved_has_its_tensor(saved, form):
    model = formats.read(saved[0] / form)
    for node in model.graph:
        if node.op in ("VariableV2", "VarHandleOp") and not node.name.startswith("wide"):
            stored = model.variable_names.get(node.name, node.name)
            assert stored == node.name
            assert (stored in model.weights) == (stored in numbers(model))


@pytest.mark.parametrize("form", FORMS)
def test_parts_of_a_partitioned_variable_are_parts_of_its_tensor(saved, form):
    folder, expected = saved
    model = formats.read(folder / form)
    parts = [model.weights[model.variable_names[f"wide/part_{i}"]] for i in range(3)]
    assert [part.shape for part in parts] == [(47, 1), (47, 1), (46, 1)]
    assert np.array_equal(np.concatenate([part.load() for part in parts]), expected["wide"])


@pytest.mark.parametrize("saver", ["named", "unknown"])
def test_a_variable_restored_under_another_name_finds_it(folder, saver):
    meta = folder / "renamed" / "model.ckpt.meta"
    if saver == "unknown":
        proto = messages.parse("MetaGraphDef", meta.read_bytes(), meta)
        proto.ClearField("saver_def")
        meta.write_bytes(proto.SerializeToString())
    model = formats.read(folder / "renamed")
    assert model.variable_names["renamed"] == "average"
    assert "outer/cell/kernel" not in model.variable_names


@pytest.mark.parametrize(("chosen", "stored"), [("plain", "w"), ("averages", "w/ExponentialMovingAverage")])
def test_of_two_savers_in_a_graph_the_one_that_wrote_the_file_decides(tmp_path, chosen, stored):
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        w = v1.get_variable("w", [2], use_resource=False)
        average = v1.get_variable("w/ExponentialMovingAverage", [2], use_resource=False)
        savers = {"plain": v1.train.Saver([w, average]), "averages": v1.train.Saver({average.op.name: w})}
        session.run(v1.global_variables_initializer())
        savers["plain"].save(session, str(tmp_path / "model.ckpt"))
        savers[chosen].export_meta_graph(str(tmp_path / "model.ckpt.meta"), as_text=chosen == "averages")
    model = formats.read(tmp_path)
    assert model.variable_names["w"] == stored
    assert model.variable_names["w/ExponentialMovingAverage"] == "w/ExponentialMovingAverage"
    if chosen == "plain":
        assert model.metadata["moving_averages"] == {"w": "w/ExponentialMovingAverage"}
        assert model.notes == ("moving averages are stored too, of 1 variables; the plain values are used",)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "checkpoint",
        "model.ckpt-300",
        "model.ckpt-300.meta",
        "model.ckpt-300.index",
        "model.ckpt-300.data-00000-of-00001",
    ],
)
def test_the_folder_and_each_of_its_files_mean_the_checkpoint(saved, name):
    folder, expected = saved
    model = formats.read(folder / "v2" / name)
    assert_same(model, expected)
    assert "x" in model.graph


def test_the_state_file_chooses_among_steps_though_its_folder_is_elsewhere(folder):
    copy_step(folder / "v2", 300, 500)
    (folder / "v2" / "checkpoint").write_text('model_checkpoint_path: "/gone/away/model.ckpt-300"')
    model = formats.read(folder / "v2")
    assert "model.ckpt-300" in model.evidence
    assert model.notes == ("2 checkpoints are here; the checkpoint file names model.ckpt-300",)


def test_a_state_file_that_names_a_step_that_is_gone_is_told(folder):
    copy_step(folder / "v2", 300, 1000)
    (folder / "v2" / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-2000"')
    stale = "; the checkpoint file names model.ckpt-2000, which is not here"
    assert formats.read(folder / "v2").notes == (f"2 checkpoints are here, the highest step is model.ckpt-1000{stale}",)


def test_without_a_state_file_the_highest_step_is_taken(folder):
    copy_step(folder / "v2", 300, 1000)
    (folder / "v2" / "checkpoint").unlink()
    model = formats.read(folder / "v2")
    assert model.notes == ("2 checkpoints are here, the highest step is model.ckpt-1000",)


@pytest.mark.parametrize(("wanted", "found"), [("last", 1000), ("300", 300), ("best", 300), ("", 300)])
def test_a_folder_that_records_its_best_checkpoint_stands_for_it_and_any_can_be_chosen(folder, wanted, found):
    copy_step(folder / "v2", 300, 1000)
    (folder / "v2" / "best.json").write_text('{"step": 300, "validation_loss": 1.5}')
    chosen = {"checkpoint": wanted} if wanted else {}
    assert f"model.ckpt-{found}" in formats.read(folder / "v2", **chosen).evidence


@pytest.mark.parametrize("record", ["", "[]", '{"step": "x"}', '{"step": 7}', "[" * 5000, '{"step": 1e999}'])
def test_a_record_of_the_best_that_is_none_chooses_nothing(folder, record):
    copy_step(folder / "v2", 300, 1000)
    (folder / "v2" / "best.json").write_text(record)
    assert "the checkpoint file names" in formats.read(folder / "v2").notes[0]
    with pytest.raises(MissingFile, match="no record says which checkpoint is the best"):
        formats.read(folder / "v2", checkpoint="best")


def test_a_step_that_is_not_there_is_answered_with_those_that_are(folder):
    with pytest.raises(MissingFile, match=r"no checkpoints of step 7 are here; there are model\.ckpt-300\."):
        formats.read(folder / "v2", checkpoint="7")
    with pytest.raises(CallError, match="checkpoint 'first': expected best, last or the number of a step"):
        formats.read(folder / "v2", checkpoint="first")


def copy_step(folder, old, new):
    for file in folder.glob(f"*-{old}.*"):
        shutil.copy(file, folder / file.name.replace(str(old), str(new)))


def test_checkpoints_of_two_models_in_a_folder_are_not_guessed_between(folder):
    (folder / "v2" / "checkpoint").unlink()
    for file in (folder / "sharded").iterdir():
        shutil.copy(file, folder / "v2" / file.name.replace("model", "other"))
    with pytest.raises(AmbiguousFormat, match=r"several models \(model\.ckpt-300, other\.ckpt\)\. Name one"):
        formats.read(folder / "v2")


@pytest.mark.parametrize("name", ["model.ckpt.meta", "graph.meta"])
def test_a_meta_file_named_apart_from_its_checkpoint(folder, name):
    (folder / "v2" / "model.ckpt-300.meta").rename(folder / "v2" / name)
    for path in ("", "model.ckpt-300", name):
        model = formats.read(folder / "v2" / path)
        assert "x" in model.graph
        assert "cell/kernel" in model.weights


def apart(folder, name, change=lambda graph: None):
    """Puts the graph of a checkpoint into a file of another name, changed; the MetaGraph itself goes away."""
    meta = folder / "v2" / "model.ckpt-300.meta"
    graph = messages.parse("MetaGraphDef", meta.read_bytes(), meta).graph_def
    change(graph)
    text = name.endswith("txt")
    (folder / "v2" / name).write_bytes(str(graph).encode() if text else graph.SerializeToString())
    return meta


@pytest.mark.parametrize("name", ["graph.pbtxt", "train.pb"])
def test_a_graph_written_beside_a_checkpoint_is_its_graph_if_its_variables_are_there(folder, name):
    apart(folder, name).unlink()
    model = formats.read(folder / "v2" / "model.ckpt-300")
    assert model.variable_names["cell/kernel"] == "cell/kernel"
    assert model.files[0].name == name
    assert f"the graph is that of {name}, whose variables all are in the checkpoint" in model.notes[0]


def rename_a_variable(graph):
    node = next(node for node in graph.node if node.op == "VarHandleOp")
    for other in graph.node:
        other.input[:] = [text.replace(node.name, "apart") if text == node.name else text for text in other.input]
    node.attr["shared_name"].s = b"apart"
    for other in graph.node:
        if other.op == "Const" and other.attr["value"].tensor.string_val:
            names = other.attr["value"].tensor.string_val
            names[:] = [b"apart" if text == node.name.encode() else text for text in names]
    node.name = "apart"


def widen_a_variable(graph):
    node = next(node for node in graph.node if node.op == "VarHandleOp")
    node.attr["shape"].shape.dim[0].size += 1


@pytest.mark.parametrize("change", [rename_a_variable, widen_a_variable])
def test_a_graph_with_other_variables_is_not_taken_and_the_reason_told(folder, change):
    apart(folder, "graph.pbtxt", change).unlink()
    model = formats.read(folder / "v2")
    assert model.graph is None
    assert "graph.pbtxt is not its graph: 1 of its variables are not in the checkpoint, or not of" in model.notes[0]


def test_of_two_graphs_that_differ_none_is_guessed_and_either_can_be_chosen(folder):
    apart(folder, "graph.pbtxt")
    apart(folder, "eval.pb", lambda graph: graph.node.add(name="more", op="NoOp")).unlink()
    with pytest.raises(
        AmbiguousFormat, match=r"several graphs .* eval\.pb, graph\.pbtxt\. Choose one with graph= \(--gra"
    ):
        formats.read(folder / "v2")
    for name, has in (("graph.pbtxt", False), ("eval.pb", True)):
        assert ("more" in formats.read(folder / "v2", graph=folder / "v2" / name).graph) is has


def test_the_same_graph_twice_is_one_graph_and_what_is_no_graph_is_told(folder):
    apart(folder, "graph.pbtxt")
    apart(folder, "graph.pb").unlink()
    (folder / "v2" / "labels.pbtxt").write_text("item { id: 1 }")
    model = formats.read(folder / "v2")
    assert model.files[0].name == "graph.pb"
    assert "labels.pbtxt holds no graph that can be read" in model.notes
    with pytest.raises(DamagedFile, match=r"labels\.pbtxt: "):
        formats.read(folder / "v2", graph=folder / "v2" / "labels.pbtxt")


def test_a_graph_without_weights_says_so(folder):
    for file in [*(folder / "v2").glob("*.index"), *(folder / "v2").glob("*.data*")]:
        file.unlink()
    model = formats.read(folder / "v2")
    assert not model.weights
    assert "model.ckpt-300.meta holds the graph without weights" in model.notes[0]


def test_weights_without_a_graph_are_weights(folder):
    (folder / "v2" / "model.ckpt-300.meta").unlink()
    model = formats.read(folder / "v2")
    assert model.graph is None
    assert model.weights["cell/kernel"].shape == (3, 8)


def test_an_index_and_a_graph_without_data_tell_shapes_and_refuse_numbers(folder):
    (folder / "v2" / "model.ckpt-300.data-00000-of-00001").unlink()
    model = formats.read(folder / "v2")
    assert model.weights["cell/kernel"].shape == (3, 8)
    assert "not found beside it" in model.notes[0]
    with pytest.raises(MissingFile, match=r"data-00000-of-00001: not found; tensor cell/kernel lies in it"):
        model.weights["cell/kernel"].load()


def test_one_lacking_shard_of_several_is_an_error(folder):
    shards = sorted((folder / "sharded").glob("*.data-*"))
    index = folder / "sharded" / "model.ckpt.index"
    shards[0].unlink()
    (folder / "sharded" / "model.ckpt.meta").unlink()
    with pytest.raises(MissingFile, match=r"lie in model\.ckpt\.data-00000-of-00002, not found beside it"):
        formats.read(index)


def test_a_lacking_shard_of_v1_is_an_error(folder):
    (folder / "v1-sharded" / "model.ckpt-300-00001-of-00002").unlink()
    with pytest.raises(MissingFile, match=r"model\.ckpt-300: found 1 of 2 shards of the checkpoint"):
        formats.read(folder / "v1-sharded")


def test_a_lacking_index_is_an_error(folder):
    (folder / "v2" / "model.ckpt-300.index").unlink()
    with pytest.raises(MissingFile, match=r"model\.ckpt-300\.index: not found, though .*data-00000-of-00001 is there"):
        formats.read(folder / "v2" / "model.ckpt-300")


def test_a_state_file_that_names_nothing_is_an_error(tmp_path):
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-7"')
    with pytest.raises(MissingFile, match=r"names model\.ckpt-7, which is not here"):
        formats.read(tmp_path)


def test_a_short_shard_is_told_before_anything_is_loaded(folder):
    data = folder / "v2" / "model.ckpt-300.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(DamagedFile, match=r"has \d+ bytes, expected at least \d+. The file is cut"):
        formats.read(folder / "v2")


def test_every_changed_byte_of_the_data_is_noticed(folder):
    data = folder / "v2" / "model.ckpt-300.data-00000-of-00001"
    whole = data.read_bytes()
    for at in range(0, len(whole), 3):
        data.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        with pytest.raises(DamagedFile, match="tensor"):
            numbers(formats.read(folder / "v2"))


@pytest.mark.parametrize("name", ["v2/model.ckpt-300.index", "v1/model.ckpt"])
def test_a_changed_or_cut_table_is_refused_or_harmless(folder, saved, name):
    file = folder / name
    whole = file.read_bytes()
    for damaged in damages(whole, 400):
        file.write_bytes(damaged)
        with contextlib.suppress(ReadError):
            assert_same(formats.read(file), saved[1])


def test_a_changed_or_cut_graph_is_refused_or_a_graph(folder):
    file = folder / "v2" / "model.ckpt-300.meta"
    whole = file.read_bytes()
    for damaged in damages(whole, 300):
        file.write_bytes(damaged)
        with contextlib.suppress(ReadError):
            model = formats.read(file)
            assert all(dict(node.attributes) is not None for node in model.graph)


def damages(whole, count):
    """Files with one byte changed, and files that end early; the same ones in every run."""
    rng = random.Random(7)
    for _ in range(count):
        at = rng.randrange(len(whole))
        yield whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :]
    for _ in range(40):
        yield whole[: rng.randrange(len(whole))]


def test_a_graph_that_reads_a_node_it_lacks_is_refused(tmp_path):
    meta = messages.message_class("MetaGraphDef")()
    meta.graph_def.node.add(name="a", op="Identity", input=["b"])
    (tmp_path / "model.meta").write_bytes(meta.SerializeToString())
    with pytest.raises(DamagedFile, match=r"node 'a' \(Identity\) reads b:0, which is not in the graph"):
        formats.read(tmp_path / "model.meta")


def test_weights_of_another_shape_are_not_taken_for_the_variables(folder):
    meta = folder / "v2" / "model.ckpt-300.meta"
    proto = messages.parse("MetaGraphDef", meta.read_bytes(), meta)
    kernel = next(node for node in proto.graph_def.node if node.name == "cell/kernel")
    kernel.attr["shape"].shape.dim[1].size = 12
    meta.write_bytes(proto.SerializeToString())
    model = formats.read(folder / "v2")
    assert "cell/kernel" not in model.variable_names
    said = "1 variables differ (cell/kernel is float32 [3, 12], stored is float32 [3, 8])"
    assert model.notes == (f"graph and weights are not of one model: {said}",)


def test_a_tensor_larger_than_the_file_is_not_allocated(tmp_path):
    meta = messages.message_class("MetaGraphDef")()
    value = meta.graph_def.node.add(name="a", op="Const").attr["value"].tensor
    value.dtype = 1
    value.tensor_shape.dim.add(size=10**13)
    value.float_val.append(2.5)
    (tmp_path / "model.meta").write_bytes(meta.SerializeToString())
    tensor = formats.read(tmp_path / "model.meta").graph["a"].attributes["value"]
    assert tensor.shape == (10**13,)
    words = r"node a holds 1 values of \[10000000000000\]; bytes: 40000000000000 are asked for, at most 67108864 are a"
    with pytest.raises(DamagedFile, match=words):
        tensor.load()


def test_a_vocabulary_inside_the_graph_is_found(tmp_path):
    meta = messages.message_class("MetaGraphDef")()
    meta.graph_def.node.add(name="a", op="NoOp")
    meta.collection_def["reprise"].bytes_list.value.append(b'{"version": 1, "vocabulary": {"symbols": ["b", "a"]}}')
    (tmp_path / "model.meta").write_bytes(meta.SerializeToString())
    model = formats.read(tmp_path / "model.meta")
    assert model.vocabulary.symbols == ("b", "a")
    assert model.vocabulary_source.endswith("model.meta")


def test_slices_of_which_one_lies_on_another_leave_a_gap_and_are_refused():
    half = (slice(0, 2), slice(0, 3)), in_memory(np.ones((2, 3), np.float32))
    with pytest.raises(DamagedFile, match=r"m\.index: the slices of tensor w do not cover its shape \[4, 3\]"):
        tensor_bundle.join_slices("w", "float32", (4, 3), [half, half], Path("m.index"))
