"""One model whose parts were saved by savers of their own, into several checkpoints of a folder."""

import numpy as np
import pytest

import reprise
from reprise import formats
from reprise.errors import AmbiguousFormat, MissingWeights
from tests.graphs import D, H, V, dense, lstm, rolled
from tests.tensorflow.building import session, tf, v1

VERSIONS = {"version 1": v1.train.SaverDef.V1, "version 2": v1.train.SaverDef.V2}


def saved(folder, version, names=("core", "head"), *, metas=False, graph="graph.pbtxt"):
    """A folder with the cell in one checkpoint and the scores in another; what TensorFlow computes of ones."""
    with session() as opened:
        x = v1.placeholder(tf.float32, [None, None, D], "x")
        made, _ = rolled(lstm, tf.transpose(x, [1, 0, 2]), [tf.zeros([tf.shape(x)[0], H])] * 2)
        scores = tf.identity(dense("scores", made[-1], V), "logits")
        opened.run(v1.global_variables_initializer())
        parts = [[v for v in v1.global_variables() if v.op.name.startswith(p)] for p in ("lstm", "scores")]
        savers = [v1.train.Saver(part, write_version=version) for part in parts]
        for saver, name in zip(savers, names, strict=True):
            saver.save(opened, str(folder / name), write_meta_graph=metas, write_state=False)
        if graph:
            v1.train.write_graph(opened.graph_def, str(folder), graph)
        return opened.run(scores, {x: np.ones((2, 3, D))})


def computed(path, **choices):
    return reprise.restore(path, **choices).run(np.ones((2, 3, D), np.float32))[0]["logits"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_pattern_a_folder_and_any_of_the_parts_mean_the_model(tmp_path, version):
    truth = saved(tmp_path, VERSIONS[version], ("model-core", "model-head"))
    for path in (tmp_path, tmp_path / "model-*", tmp_path / "model-core", tmp_path / "model-head"):
        np.testing.assert_allclose(computed(path), truth, rtol=1e-4)
        np.testing.assert_allclose(computed(path, graph=tmp_path / "graph.pbtxt"), truth, rtol=1e-4)
    stored = formats.read(tmp_path / "model-core")
    assert stored.notes[-1] == "one model in several checkpoints: model-core, model-head"
    assert {file.name.partition(".")[0] for file in stored.files} == {"graph", "model-core", "model-head"}


def test_parts_that_were_saved_with_the_whole_graph_each_are_one_model(tmp_path):
    truth = saved(tmp_path, VERSIONS["version 2"], metas=True, graph=None)
    for path in (tmp_path, tmp_path / "core", tmp_path / "head.meta"):
        np.testing.assert_allclose(computed(path), truth, rtol=1e-4)


def test_parts_may_be_numbered_as_steps_are(tmp_path):
    truth = saved(tmp_path, VERSIONS["version 1"], ("part-0", "part-1"))
    np.testing.assert_allclose(computed(tmp_path), truth, rtol=1e-4)


def test_of_a_part_that_was_saved_more_than_once_the_last_is_taken(tmp_path):
    saved(tmp_path, VERSIONS["version 1"], ("core-7", "head-7"))
    truth = saved(tmp_path, VERSIONS["version 1"], ("core-90", "head-90"))
    for path in (tmp_path, tmp_path / "core-90"):
        np.testing.assert_allclose(computed(path), truth, rtol=1e-4)


def test_a_part_that_lies_nowhere_is_missed(tmp_path):
    saved(tmp_path, VERSIONS["version 1"])
    (tmp_path / "head").unlink()
    with pytest.raises(MissingWeights, match="scores"):
        reprise.restore(tmp_path / "core", graph=tmp_path / "graph.pbtxt")


def test_a_part_that_is_damaged_does_not_harm_a_model_that_lacks_nothing(tmp_path):
    saved(tmp_path, VERSIONS["version 2"])
    with session() as opened:
        x = v1.placeholder(tf.float32, [None, None, D], "x")
        rolled(lstm, tf.transpose(x, [1, 0, 2]), [tf.zeros([tf.shape(x)[0], H])] * 2)
        opened.run(v1.global_variables_initializer())
        v1.train.Saver().save(opened, str(tmp_path / "alone"), write_state=False)
    (tmp_path / "head.index").write_bytes(b"")
    assert len(reprise.restore(tmp_path / "alone").interface.states) == 2


@pytest.mark.parametrize("pattern", ["", "model-*"])
def test_two_models_are_not_parts_of_one(tmp_path, pattern):
    saved(tmp_path, VERSIONS["version 2"], ("model-core", "model-head"), metas=True, graph=None)
    saved(tmp_path, VERSIONS["version 2"], ("model-other", "model-last"), metas=True, graph=None)
    with pytest.raises(
        AmbiguousFormat, match=r"several models \(model-core, model-head, model-last, model-other\)\. Name"
    ):
        formats.read(tmp_path / pattern)
