"""SavedModels in the form of TensorFlow 1, and the choice among their MetaGraphs."""

import os

import numpy as np
import pytest
import tensorflow as tf

from reprise import formats
from reprise.errors import AmbiguousFormat, CallError, DamagedFile, MissingFile, UnknownFormat
from tests.formats.contract import FormatContract

v1 = tf.compat.v1


class TestContract(FormatContract):
    name = "TensorFlow SavedModel"

    @classmethod
    def write(cls, folder):
        builder = v1.saved_model.Builder(str(folder / "model"))
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, [None, 2], "x")
            y = x @ v1.get_variable("kernel", initializer=np.full((2, 3), 7, np.float32), use_resource=False)
            session.run(v1.global_variables_initializer())
            signature = v1.saved_model.predict_signature_def({"in": x}, {"out": y})
            builder.add_meta_graph_and_variables(session, ["serve"], {"go": signature})
        builder.save()
        return folder / "model"

    @classmethod
    def told_by(cls, path):
        return path / "saved_model.pb"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Folders: one MetaGraph; two; two of which one serves; as text."""
    root = tmp_path_factory.mktemp("saved_models")
    (root / "vocab.txt").write_text("b\na\nc\n")
    for name, tags, text in (
        ("one", (["serve"],), False),
        ("two", (["train"], ["train", "gpu"]), False),
        ("served", (["train"], ["serve", "gpu"]), False),
        ("text", (["serve"],), True),
    ):
        builder = v1.saved_model.Builder(str(root / name))
        for i, tag in enumerate(tags):
            with tf.Graph().as_default(), v1.Session() as session:
                x = v1.placeholder(tf.float32, [None, 2], "x")
                kernel = v1.get_variable("kernel", initializer=np.full((2, 3), 7, np.float32), use_resource=False)
                y = tf.identity(x @ kernel, name=f"y{i}")
                v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, tf.constant(str(root / "vocab.txt")))
                session.run(v1.global_variables_initializer())
                signature = v1.saved_model.predict_signature_def({"in": x}, {"out": y})
                assets = v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS)
                if i == 0:
                    builder.add_meta_graph_and_variables(session, tag, {"go": signature}, assets_collection=assets)
                else:
                    builder.add_meta_graph(tag, {"go": signature}, assets_collection=assets)
        builder.save(as_text=text)
    return root


@pytest.mark.parametrize("path", ["one", "text", "one/saved_model.pb", "text/saved_model.pbtxt"])
def test_graph_weights_signatures_and_assets_are_read(written, path):
    model = formats.read(written / path)
    assert model.format == "TensorFlow SavedModel"
    assert np.array_equal(model.weights[model.variable_names["kernel"]].load(), np.full((2, 3), 7, np.float32))
    [signature] = model.signatures
    assert (signature.name, signature.inputs, signature.outputs) == ("go", {"in": "x:0"}, {"out": "y0:0"})
    assert model.vocabulary.symbols == ("b", "a", "c")
    assert model.vocabulary_source.endswith(os.path.join("assets", "vocab.txt"))
    assert model.metadata["tags"] == ("serve",)


def test_several_metagraphs_are_told_apart_by_their_tags(written):
    with pytest.raises(
        AmbiguousFormat, match=r"holds 2 MetaGraphs, told apart by their tags \(train; .*\)\. Choose with tags"
    ):
        formats.read(written / "two")
    assert "y1" in formats.read(written / "two", tags=["gpu", "train"]).graph
    with pytest.raises(AmbiguousFormat, match="none of them by exactly serve"):
        formats.read(written / "two", tags=["serve"])


def test_of_several_metagraphs_the_one_that_serves_is_meant(written):
    assert "y1" in formats.read(written / "served").graph
    assert "y0" in formats.read(written / "served", tags=["train"]).graph


def test_a_choice_that_a_format_lacks_is_an_error(written):
    with pytest.raises(CallError, match="TensorFlow SavedModel has no choice step; it has: custom, tags"):
        formats.read(written / "one", step=3)


def test_a_folder_of_saved_models_is_explained(written, tmp_path):
    (tmp_path / "export" / "1514764800").mkdir(parents=True)
    (tmp_path / "export" / "1514764800" / "saved_model.pb").touch()
    with pytest.raises(UnknownFormat, match=r"a folder with a model in it; name that: \S+/export/1514764800\."):
        formats.read(tmp_path / "export")


def test_a_cut_file_is_refused(written, tmp_path):
    whole = (written / "one" / "saved_model.pb").read_bytes()
    for kept in (0, 1, 3, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "saved_model.pb").write_bytes(whole[:kept])
        with pytest.raises(DamagedFile, match=r"saved_model\.pb"):
            formats.read(tmp_path)


def test_lacking_variables_are_an_error(written, tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes((written / "one" / "saved_model.pb").read_bytes())
    with pytest.raises(MissingFile, match=r"variables\.index: cannot be read"):
        formats.read(tmp_path)


def test_a_graph_in_a_file_of_this_name_is_read_as_a_graph(tmp_path):
    with tf.Graph().as_default() as graph:
        v1.placeholder(tf.float32, [None, 2], "x")
    (tmp_path / "saved_model.pb").write_bytes(graph.as_graph_def().SerializeToString())
    assert formats.read(tmp_path / "saved_model.pb").format == "TensorFlow graph"
