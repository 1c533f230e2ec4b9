import contextlib

import numpy as np
import pytest
import tensorflow as tf

import reprise
import reprise.tensorflow
from reprise.errors import CallError, NoRecurrence, SaveError, VerificationError
from reprise.tensorflow import saving
from tests.tensorflow import building
from tests.tensorflow.building import by_scan, by_while, ids, language_model, v1


def initialised(session):
    session.run(v1.global_variables_initializer())


def names(folder):
    return sorted(f.name for f in folder.iterdir())


@pytest.fixture
def live():
    """A session with a language model in it, and the model's tensors."""
    with building.session() as session:
        model = language_model()
        initialised(session)
        yield session, model


@pytest.mark.parametrize("loop", [by_while, by_scan])
@pytest.mark.parametrize("functional", [False, True], ids=["frames", "functional"])
def test_what_is_saved_is_restored_without_the_code(tmp_path, loop, functional):
    with building.session(functional=functional) as session:
        model = language_model(loop)
        initialised(session)
        path = reprise.tensorflow.save(session, tmp_path / "model.ckpt")
        expected = session.run(model["logits"], {model["ids"]: ids(2, 6)})
    restored = reprise.restore(path)
    found, state = restored.run(ids(2, 6)[:, :4])
    more, _ = restored.run(ids(2, 6)[:, 4:], state)
    (name,) = found
    np.testing.assert_allclose(np.concatenate([found[name], more[name]], 1), expected, rtol=1e-4, atol=1e-6)
    assert names(tmp_path) == ["checkpoint", *(f"model.ckpt.{end}" for end in ("data-00000-of-00001", "index", "meta"))]


def test_plain_tensorflow_steps_by_the_signature(tmp_path, live):
    session, model = live
    path = str(reprise.tensorflow.save(session, tmp_path / "model.ckpt"))
    expected = session.run(model["logits"], {model["ids"]: ids(3, 4)})
    with building.session() as stranger:
        v1.train.import_meta_graph(f"{path}.meta").restore(stranger, v1.train.latest_checkpoint(str(tmp_path)))
        with open(f"{path}.meta", "rb") as file:
            step = v1.MetaGraphDef.FromString(file.read()).signature_def["step"]
        feeds = {"tokens": ids(3, 4)[:, :1]}
        for t in range(4):
            found = stranger.run(
                {key: info.name for key, info in step.outputs.items()},
                {step.inputs[key].name: value for key, value in feeds.items()},
            )
            np.testing.assert_allclose(found["logits"][:, 0], expected[:, t], rtol=1e-5, atol=1e-6)
            feeds = {key: found[key] for key in found if key.startswith("state/")} | {
                "tokens": ids(3, 4)[:, t + 1 : t + 2]
            }
    assert set(step.inputs) == {"tokens", "state/layer0.c", "state/layer0.h"}
    assert step.inputs["state/layer0.c"].name == "zeros_c:0"


def test_the_vocabulary_travels(tmp_path, live):
    vocabulary = reprise.Vocabulary(tuple('abcdé\n"'))
    path = reprise.tensorflow.save(live[0], tmp_path / "model.ckpt", vocabulary=vocabulary)
    assert reprise.restore(path).vocabulary == vocabulary


def test_saving_adds_nothing_to_the_graph(tmp_path, live):
    session, _ = live
    session.graph.finalize()
    before = len(session.graph.get_operations())
    reprise.tensorflow.save(session, tmp_path / "model.ckpt")
    assert len(session.graph.get_operations()) == before


def test_the_folder_lists_every_step_saved(tmp_path, live):
    session, _ = live
    step = v1.train.create_global_step()
    session.run(step.assign(30))
    assert reprise.tensorflow.save(session, tmp_path / "m.ckpt", global_step=7) == tmp_path / "m.ckpt-7"
    reprise.tensorflow.save(session, tmp_path / "m.ckpt", global_step=step)
    state = v1.train.get_checkpoint_state(str(tmp_path))
    assert state.model_checkpoint_path == str(tmp_path / "m.ckpt-30")
    assert list(state.all_model_checkpoint_paths) == [str(tmp_path / name) for name in ("m.ckpt-7", "m.ckpt-30")]


def test_signatures_that_a_file_had_are_kept(tmp_path, live):
    session, model = live
    path = reprise.tensorflow.save(session, tmp_path / "model.ckpt")
    meta_file = tmp_path / "model.ckpt.meta"
    meta = v1.MetaGraphDef.FromString(meta_file.read_bytes())
    info = v1.saved_model.build_tensor_info
    for name, tensor in (("serving", model["logits"]), ("gone", tf.zeros([], name="gone"))):
        signature = v1.saved_model.build_signature_def({}, {"y": info(tensor)}, "predict")
        meta.signature_def[name].CopyFrom(signature)
    meta.signature_def["gone"].outputs["y"].name = "another_graph:0"
    meta_file.write_bytes(meta.SerializeToString())
    reprise.tensorflow.save(session, path)
    kept = v1.MetaGraphDef.FromString(meta_file.read_bytes()).signature_def
    assert set(kept) == {"step", "serving"}
    assert kept["serving"].outputs["y"].name == "logits:0"


def test_a_graph_without_recurrence_writes_nothing(tmp_path):
    with building.session() as session:
        x = v1.placeholder(tf.float32, [None, 3])
        tf.matmul(x, building.variable("kernel", 3, 2), name="y")
        initialised(session)
        with pytest.raises(NoRecurrence, match="carries no state from step to step"):
            reprise.tensorflow.save(session, tmp_path / "new" / "model.ckpt")
    assert names(tmp_path) == []


def test_files_that_compute_something_else_are_not_kept(tmp_path, live, monkeypatch):
    session, _ = live
    reprise.tensorflow.save(session, tmp_path / "model.ckpt")
    before = {f.name: f.read_bytes() for f in tmp_path.iterdir()}
    write = saving._write

    def damage(part, copy, meta, held):
        write(part, copy, meta, {**held, "lstm/bias": held["lstm/bias"] * 1.01})

    monkeypatch.setattr(saving, "_write", damage)
    with pytest.raises(
        VerificationError, match=r"model\.ckpt: not written.* the models differ first at step 1 from zero"
    ):
        reprise.tensorflow.save(session, tmp_path / "model.ckpt")
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir()} == before


def test_states_that_a_graph_keeps_in_variables_stay_as_they_are(tmp_path):
    with building.session() as session:
        model = language_model()
        kept = v1.get_variable("kept", [2, building.HIDDEN], initializer=v1.ones_initializer(), use_resource=False)
        with tf.control_dependencies([v1.assign(kept, model["last"][0])]):
            tf.identity(model["logits"], name="scores")
        initialised(session)
        reprise.tensorflow.save(session, tmp_path / "model.ckpt", outputs=["scores:0"])
        assert (session.run(kept) == 1).all()
        assert (v1.train.load_variable(str(tmp_path / "model.ckpt"), "kept") == 1).all()


def test_partitions_are_saved_as_the_whole(tmp_path):
    with building.session() as session:
        with v1.variable_scope("m", partitioner=v1.fixed_size_partitioner(2)):
            whole = building.variable("in", building.SYMBOLS, 4)
        held = {**building.weights(), "embedding": tf.convert_to_tensor(whole)}
        x = v1.placeholder(tf.int32, [None, None], name="tokens")
        first = [tf.zeros([tf.shape(x)[0], building.HIDDEN]) for _ in "ch"]
        hidden, *_ = by_while(held, tf.transpose(tf.gather(held["embedding"], x), [1, 0, 2]), *first)
        tf.identity(hidden, name="hidden")
        initialised(session)
        path = reprise.tensorflow.save(session, tmp_path / "model.ckpt")
        assert v1.train.load_variable(str(path), "m/in").tolist() == session.run(held["embedding"]).tolist()


def test_a_graph_imported_without_its_list_of_variables_is_saved_whole(tmp_path):
    with building.session() as session:
        language_model(use_resource=True)
        definition = session.graph.as_graph_def()
    with building.session() as session:
        tf.import_graph_def(definition, name="")
        assert not v1.global_variables()
        session.run([op for op in session.graph.get_operations() if op.type == "AssignVariableOp"])
        path = reprise.tensorflow.save(session, tmp_path / "model.ckpt")
    assert {"embedding", "lstm/kernel", "lstm/bias"} <= reprise.restore(path).stored.weights.keys()


def test_variables_without_a_value_are_named(tmp_path):
    with building.session() as session:
        language_model()
        session.run([v.initializer for v in v1.global_variables() if "lstm" not in v.name])
        with pytest.raises(CallError, match="2 of 4 variables have no value in this session: lstm/kernel, lstm/bias"):
            reprise.tensorflow.save(session, tmp_path / "model.ckpt")
    assert names(tmp_path) == []


def test_states_that_enter_as_one_tensor_cannot_be_named_apart(tmp_path):
    with building.session() as session:
        shared = []
        language_model(state=lambda shape, name: shared[0] if shared else shared.append(tf.zeros(shape)) or shared[0])
        initialised(session)
        with pytest.raises(SaveError, match=r"'layer0\.h' and 'layer0\.c' both enter as zeros:0"):
            reprise.tensorflow.save(session, tmp_path / "model.ckpt")


@pytest.mark.parametrize("prefix", ["", "checkpoint"])
def test_a_prefix_must_be_a_name_of_its_own(tmp_path, live, prefix):
    with pytest.raises(CallError, match=r"give a prefix, such as runs/model\.ckpt"):
        reprise.tensorflow.save(live[0], tmp_path / prefix)


def test_the_graph_need_not_be_the_default_one(tmp_path):
    with building.session() as session:
        graph = session.graph
        language_model()
    assert tf.executing_eagerly()
    with contextlib.closing(v1.Session(graph=graph)) as session:
        session.run([v.initializer for v in graph.get_collection("variables")])
        path = reprise.tensorflow.save(session, tmp_path / "model.ckpt")
        with tf.Graph().as_default() as other:
            done = reprise.tensorflow.restore(session, path)
            assert not other.get_operations()
    assert set(done.variables) == {"embedding", "lstm/kernel", "lstm/bias", "projection/kernel"}


def test_what_only_a_saver_can_save_is_refused(tmp_path, live):
    session, _ = live
    tf.lookup.experimental.DenseHashTable(tf.string, tf.int64, -1, "", "-", name="words")
    session.graph.add_to_collection(v1.GraphKeys.SAVEABLE_OBJECTS, "words")
    with pytest.raises(SaveError, match=r"asks to save tensors that are not variables \(words"):
        reprise.tensorflow.save(session, tmp_path / "model.ckpt")
    assert names(tmp_path) == []


def test_a_graph_of_constants_has_nothing_to_save(tmp_path, live):
    session, _ = live
    frozen = v1.graph_util.convert_variables_to_constants(session, session.graph.as_graph_def(), ["logits"])
    with building.session() as other:
        tf.import_graph_def(frozen, name="")
        with pytest.raises(SaveError, match="no variables: its weights are constants"):
            reprise.tensorflow.save(other, tmp_path / "model.ckpt")


def test_an_input_that_is_spread_over_placeholders_cannot_be_named(tmp_path):
    with building.session() as session:
        held = building.weights()
        xs = [v1.placeholder(tf.float32, [None, 4]) for _ in range(4)]
        c, h = (tf.zeros([tf.shape(xs[0])[0], building.HIDDEN]) for _ in "ch")
        hidden = []
        for x in xs:
            c, h = building.lstm(held, x, c, h)
            hidden.append(h)
        tf.stack([h @ held["projection"] for h in hidden], name="scores")
        initialised(session)
        with pytest.raises(SaveError, match=r"has 3 axes and Placeholder:0 the shape \(None, 4\)"):
            reprise.tensorflow.save(session, tmp_path / "model.ckpt")
