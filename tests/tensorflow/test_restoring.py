import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import reprise.tensorflow
from reprise.errors import CallError, DamagedFile, MissingWeights
from tests.tensorflow import building
from tests.tensorflow.building import by_scan, language_model, numbers, saved_by_tensorflow, v1, variable


@pytest.fixture
def file(tmp_path):
    """A checkpoint of a language model with the slots of an optimizer, and the numbers in it."""
    with building.session() as session:
        model = language_model()
        v1.train.AdamOptimizer().minimize(tf.reduce_mean(model["logits"]))
        prefix = saved_by_tensorflow(session, tmp_path / "model.ckpt")
        yield prefix, numbers(session)


def same(found, expected):
    return found.keys() <= expected.keys() and all(np.array_equal(found[name], expected[name]) for name in found)


def set_to_ones(session):
    session.run([v.assign(tf.ones_like(v)) for v in v1.global_variables()])


@pytest.mark.parametrize("use_resource", [False, True], ids=["references", "resources"])
def test_another_graph_gets_the_numbers_whatever_its_operations_are_called(file, use_resource):
    prefix, expected = file
    with building.session(functional=True) as session:
        language_model(by_scan, tokens="input_of_mine", use_resource=use_resource)
        session.graph.finalize()
        done = reprise.tensorflow.restore(session, prefix)
        assert same(numbers(session), expected)
    assert done.variables["lstm/kernel"] == "lstm/kernel"
    assert "lstm/kernel/Adam" in done.unused


def test_a_session_that_saved_can_go_back(tmp_path):
    with building.session() as session:
        language_model()
        session.run(v1.global_variables_initializer())
        before = numbers(session)
        path = reprise.tensorflow.save(session, tmp_path / "model.ckpt")
        set_to_ones(session)
        reprise.tensorflow.restore(session, path)
        assert same(numbers(session), before)


def test_every_difference_is_told_at_once_and_nothing_changes(file):
    prefix, _ = file
    with building.session() as session:
        variable("lstm/kernel", 4 + building.HIDDEN, 4 * building.HIDDEN)
        variable("lstm/bias", 8)
        variable("embeddings", building.SYMBOLS, 4)
        variable("projection/kernel", building.HIDDEN, building.SYMBOLS, dtype=tf.float64)
        set_to_ones(session)
        with pytest.raises(MissingWeights) as caught:
            reprise.tensorflow.restore(session, prefix)
        assert all((array == 1).all() for array in numbers(session).values())
    first, *lines, only_in_file, advice = str(caught.value).splitlines()
    assert first.endswith("does not fit the graph: 3 of 4 variables have no fitting tensor. Nothing was changed.")
    assert (
        lines[0]
        == "  lstm/bias (float32 [8]): shape [8] in the graph, [20] in the file; nearest: " + lines[0].split(": ")[-1]
    )
    assert lines[1].startswith("  embeddings (float32 [7, 4]): not in the file; nearest: embedding (float32 [7, 4])")
    assert lines[2].startswith("  projection/kernel (float64 [5, 7]): float64 in the graph, float32 in the file")
    assert only_in_file.startswith("Only in the file: beta1_power, beta2_power, embedding, embedding/Adam")
    assert advice.startswith("Map names with variables={")


def test_variables_under_another_scope_are_advised_and_mapped(file):
    prefix, expected = file
    with building.session() as session:
        with v1.variable_scope("net/decoder"):
            language_model()
        with pytest.raises(MissingWeights, match=r"map them: variables=\{'': 'net/decoder/'\}"):
            reprise.tensorflow.restore(session, prefix)
        done = reprise.tensorflow.restore(session, prefix, variables={"": "net/decoder/"})
        found = {name.removeprefix("net/decoder/"): array for name, array in numbers(session).items()}
    assert same(found, expected)
    assert done.variables["net/decoder/embedding"] == "embedding"


def test_single_names_are_mapped_before_scopes(file):
    prefix, expected = file
    with building.session() as session:
        variable("cell/kernel", 4 + building.HIDDEN, 4 * building.HIDDEN)
        variable("cell/offset", 4 * building.HIDDEN)
        renamed = {"lstm/": "cell/", "lstm/bias": "cell/offset"}
        assert reprise.tensorflow.restore(session, prefix, variables=renamed).variables == {
            "cell/kernel": "lstm/kernel",
            "cell/offset": "lstm/bias",
        }
        assert np.array_equal(numbers(session)["cell/offset"], expected["lstm/bias"])


@pytest.mark.parametrize(
    ("renamed", "words"),
    [
        ({"lstm/kernel": "lstm/W"}, "the graph has no 'lstm/W'; it has embedding, lstm/kernel"),
        ({"lstm/W": "lstm/kernel"}, "has no 'lstm/W'; it has beta1_power"),
        ({"lstm/": "lstm"}, "is a scope and a name; let both end in /, or neither"),
    ],
)
def test_a_name_that_maps_nothing_is_an_error(file, renamed, words):
    with building.session() as session:
        language_model()
        with pytest.raises(CallError, match=words):
            reprise.tensorflow.restore(session, file[0], variables=renamed)


@pytest.mark.parametrize("only", ["lstm/*", ["lstm/kernel", "*/bias"], lambda name: name.startswith("lstm")])
def test_a_subset_leaves_the_others_as_they_are(file, only):
    prefix, expected = file
    with building.session() as session:
        language_model()
        variable("not_in_the_file", 3)
        set_to_ones(session)
        assert set(reprise.tensorflow.restore(session, prefix, only=only).variables) == {"lstm/kernel", "lstm/bias"}
        found = numbers(session)
    assert same({name: found.pop(name) for name in ("lstm/kernel", "lstm/bias")}, expected)
    assert all((array == 1).all() for array in found.values())


@pytest.mark.parametrize(
    ("only", "words"),
    [
        (["lstm/*", "gru/*"], r"only: 'gru/\*' chooses no variable of the graph, which has embedding"),
        ((), "only: an empty list chooses no variable"),
        (lambda name: False, "only: the function chooses no variable"),
    ],
)
def test_a_subset_that_chooses_nothing_is_an_error(file, only, words):
    with building.session() as session:
        language_model()
        with pytest.raises(CallError, match=words):
            reprise.tensorflow.restore(session, file[0], only=only)


def test_slots_of_an_optimizer_that_the_file_lacks_are_named_with_a_way_on(tmp_path):
    with building.session() as session:
        language_model()
        prefix = saved_by_tensorflow(session, tmp_path / "model.ckpt")
    with building.session() as session:
        v1.train.AdamOptimizer().minimize(tf.reduce_mean(language_model()["logits"]))
        with pytest.raises(MissingWeights, match=r"lstm/kernel/Adam_1(.|\n)*All trainable variables are in the file"):
            reprise.tensorflow.restore(session, prefix)
        reprise.tensorflow.restore(session, prefix, only=[v.op.name for v in v1.trainable_variables()])


def test_a_checkpoint_of_the_first_saver(tmp_path):
    with building.session() as session:
        language_model()
        prefix = saved_by_tensorflow(session, tmp_path / "model.ckpt", write_version=v1.train.SaverDef.V1)
        expected = numbers(session)
    with building.session() as session:
        language_model()
        reprise.tensorflow.restore(session, prefix)
        assert same(numbers(session), expected)


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 3), (3, 2)])
def test_partitions_are_of_the_graph_not_of_the_numbers(tmp_path, before, after):
    def build(session, shards):
        with v1.variable_scope("m", partitioner=v1.fixed_size_partitioner(shards) if shards > 1 else None):
            return tf.convert_to_tensor(variable("table", 6, 4))

    with building.session() as session:
        table = build(session, before)
        prefix = saved_by_tensorflow(session, tmp_path / "model.ckpt")
        expected = session.run(table)
    with building.session() as session:
        table = build(session, after)
        reprise.tensorflow.restore(session, prefix)
        assert np.array_equal(session.run(table), expected)


def test_variables_that_start_from_one_tensor_get_numbers_of_their_own(tmp_path):
    def build():
        start = tf.zeros([3])
        return [v1.Variable(start, name=name, use_resource=False) for name in "ab"]

    with building.session() as session:
        a, b = build()
        session.run(v1.global_variables_initializer())
        session.run([a.assign([1.0, 2, 3]), b.assign([4.0, 5, 6])])
        prefix = v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    with building.session() as session:
        a, b = build()
        reprise.tensorflow.restore(session, prefix)
        assert session.run([a, b])[1].tolist() == [4, 5, 6]
        assert session.run(a).tolist() == [1, 2, 3]


def test_local_variables_are_not_asked_for(file):
    with building.session() as session:
        language_model()
        v1.get_variable("count", [], collections=[v1.GraphKeys.LOCAL_VARIABLES])
        assert "count" not in reprise.tensorflow.restore(session, file[0]).variables


def test_a_monitored_session_will_do(file):
    prefix, expected = file
    with building.session():
        language_model()
        with v1.train.MonitoredSession() as session:
            reprise.tensorflow.restore(session, prefix)
            assert same(numbers(session), expected)


def test_damage_is_found_before_anything_changes(file):
    prefix, _ = file
    with open(f"{prefix}.data-00000-of-00001", "r+b") as data:
        data.seek(-1, 2)
        last = data.read(1)
        data.seek(-1, 2)
        data.write(bytes([last[0] ^ 1]))
    with building.session() as session:
        v1.train.AdamOptimizer().minimize(tf.reduce_mean(language_model()["logits"]))
        set_to_ones(session)
        with pytest.raises(DamagedFile, match="checksum"):
            reprise.tensorflow.restore(session, prefix)
        assert all((array == 1).all() for array in numbers(session).values())


def test_a_graph_without_variables_is_an_error(file):
    with building.session() as session, pytest.raises(CallError, match="no variables to restore into"):
        reprise.tensorflow.restore(session, file[0])


def test_a_machine_without_tensorflow_is_told_the_command():
    code = "import sys; sys.modules['tensorflow'] = None\nimport reprise.tensorflow"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].startswith("reprise.errors.MissingDependency: reprise.tensorflow works on")
    assert re.search(r"-m pip install \S*\[tensorflow\]", done.stderr)
