import json
import random

import onnx
import pytest

import reprise
from reprise.errors import DamagedFile, ReadError, UnknownFormat
from reprise.export import export
from reprise.formats import identify, read
from reprise.formats import onnx as format
from tests.export.models import model
from tests.formats.contract import FormatContract


class TestContract(FormatContract):
    name = "ONNX"

    @classmethod
    def write(cls, folder):
        export(model(), folder / "m.onnx", steps=1)
        return folder / "m.onnx"


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    place = tmp_path_factory.mktemp("onnx") / "m.onnx"
    export(model(), place, steps=1)
    return place.read_bytes()


def changed(content, **metadata):
    """The file with other metadata, as another program would write it, with a checksum that fits."""
    held = onnx.ModelProto.FromString(content)
    kept = {e.key: e.value for e in held.metadata_props if e.key != format.CHECKSUM}
    kept |= {f"reprise.{key}": value for key, value in metadata.items()}
    held.ClearField("metadata_props")
    for key, value in kept.items():
        if value is not None:
            held.metadata_props.add(key=key, value=value)
    return format.to_bytes(held)


def test_an_onnx_model_is_identified(tmp_path, content):
    (tmp_path / "m").write_bytes(content)
    assert identify(tmp_path / "m").name == "ONNX"
    assert format.sniff(tmp_path / "m") == "it begins as an ONNX model of IR version 10"


@pytest.mark.parametrize(
    "head", [b"", b"\x08", b"\x08\x01\x12\x05", b"\x08\x0a", b"\x0a\x05hello", b"\x08" + b"\xff" * 20]
)
def test_other_beginnings_are_not_claimed(tmp_path, head):
    (tmp_path / "m").write_bytes(head)
    assert format.sniff(tmp_path / "m") is None


def test_a_cut_file_is_refused(tmp_path, content):
    for size in random.Random(1).sample(range(8, len(content)), 60):
        (tmp_path / "m").write_bytes(content[:size])
        with pytest.raises(ReadError):
            reprise.restore(tmp_path / "m")


def test_any_changed_byte_is_noticed(tmp_path, content):
    draw = random.Random(2)
    for at in draw.sample(range(2, len(content)), 200):
        flipped = content[at] ^ 1 << draw.randrange(8)
        (tmp_path / "m").write_bytes(content[:at] + bytes([flipped]) + content[at + 1 :])
        with pytest.raises(ReadError):
            reprise.restore(tmp_path / "m")


def test_a_key_that_is_no_text_is_damage(tmp_path, content):
    at = content.index(b"reprise.")
    (tmp_path / "m").write_bytes(content[:at] + b"\xff" + content[at + 1 :])
    with pytest.raises(DamagedFile, match="is not a complete ONNX model"):
        reprise.restore(tmp_path / "m")


def test_the_words_of_a_damaged_file(tmp_path, content):
    (tmp_path / "m").write_bytes(content[:-30] + bytes([content[-30] ^ 1]) + content[-29:])
    with pytest.raises(DamagedFile, match="It is cut or damaged, or another program has changed it; copy it again"):
        reprise.restore(tmp_path / "m")


@pytest.mark.parametrize(
    ("key", "value", "error", "words"),
    [
        ("version", "2", UnknownFormat, "written in layout 2; this program reads 1"),
        ("interface", "{", DamagedFile, "its entry 'reprise.interface' is not JSON"),
        ("interface", "[]", DamagedFile, "interface: the data do not describe one"),
        ("settings", "[]", DamagedFile, "its description of itself is not valid"),
        ("settings", '{"fixed": {}, "open": ["keep"]}', DamagedFile, "its graph has no input keep"),
        ("vocabulary", "{}", DamagedFile, "its vocabulary cannot be read"),
        ("columns", "7", DamagedFile, "the names of its columns are 7, expected a list"),
    ],
)
def test_metadata_that_cannot_be_are_refused(tmp_path, content, key, value, error, words):
    (tmp_path / "m").write_bytes(changed(content, **{key: value}))
    with pytest.raises(error, match=words):
        reprise.restore(tmp_path / "m")


@pytest.mark.parametrize(
    ("fact", "value"), [("dtype", "float33"), ("shape", [-1]), ("batch_axis", 7), ("name", None), ("initial", "ones")]
)
def test_each_fact_of_a_state_is_checked(tmp_path, content, fact, value):
    facts = {e.key: e.value for e in onnx.ModelProto.FromString(content).metadata_props}
    interface = json.loads(facts[format.INTERFACE])
    interface["states"][0][fact] = value
    (tmp_path / "m").write_bytes(changed(content, interface=json.dumps(interface)))
    with pytest.raises(DamagedFile, match=f"interface: the data do not describe one \\({fact} cannot be"):
        reprise.restore(tmp_path / "m")


def test_a_file_without_an_interface_is_one_of_another_program(tmp_path, content):
    foreign = onnx.ModelProto.FromString(content)
    foreign.producer_name = "somebody"
    del foreign.metadata_props[:]
    (tmp_path / "m.onnx").write_bytes(foreign.SerializeToString())
    model = reprise.restore(tmp_path / "m.onnx")
    assert "not written by Reprise: producer somebody" in model.stored.notes[0]
    assert [s.source_out for s in model.interface.states] == ["state_out.h"]


def hidden_in_a_sparse_value(held, tensor):
    held.graph.node.add(op_type="Constant", output=["x"]).attribute.add(
        name="sparse_value", type=onnx.AttributeProto.SPARSE_TENSOR
    ).sparse_tensor.values.CopyFrom(tensor)


def hidden_in_a_body(held, tensor):
    body = held.graph.node.add(op_type="If", output=["x"]).attribute.add(
        name="then_branch", type=onnx.AttributeProto.GRAPH
    )
    body.g.sparse_initializer.add().values.CopyFrom(tensor)


@pytest.mark.parametrize("hide", [hidden_in_a_sparse_value, hidden_in_a_body])
def test_what_is_not_read_here_never_reaches_the_engine(tmp_path, content, hide):
    (tmp_path / "secret").write_bytes(bytes(4))
    held, tensor = onnx.ModelProto.FromString(content), onnx.TensorProto(name="s", dims=[1], data_type=1)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret")
    hide(held, tensor)
    (tmp_path / "m").write_bytes(changed(held.SerializeToString()))
    assert b"secret" in (tmp_path / "m").read_bytes()
    assert b"secret" not in read(tmp_path / "m").foreign.SerializeToString()


@pytest.mark.parametrize("name", ["op_type", "name", "producer_name"])
def test_names_that_are_no_text_are_damage(tmp_path, content, name):
    held = onnx.ModelProto.FromString(content)
    setattr(held if name == "producer_name" else held.graph.node[0], name, "PLACEHOLDER")
    at = changed(held.SerializeToString()).replace(b"PLACEHOLDER", b"PL\xffCEHOLDER")
    body = at[: -len(format._seal(b""))]
    (tmp_path / "m").write_bytes(body + format._seal(body))
    with pytest.raises(DamagedFile, match=r"not UTF-8|not a complete ONNX model"):
        reprise.restore(tmp_path / "m")


@pytest.mark.parametrize("change", [lambda t: t.dims.append(2), lambda t: setattr(t, "raw_data", t.raw_data[:-1])])
@pytest.mark.parametrize("inner", [False, True])
def test_a_tensor_that_does_not_hold_its_numbers_is_damage(tmp_path, content, change, inner):
    held = onnx.ModelProto.FromString(content)
    tensor = held.graph.initializer[0]
    if inner:
        held.graph.node.append(onnx.helper.make_node("Constant", [], ["unused"], value=tensor))
        tensor = held.graph.node[-1].attribute[0].t
    change(tensor)
    (tmp_path / "m").write_bytes(changed(held.SerializeToString()))
    with pytest.raises(DamagedFile, match=r"tensor '.*' does not hold its numbers: its shape is \["):
        reprise.restore(tmp_path / "m")


def test_weights_in_another_file_are_not_read(tmp_path, content):
    held = onnx.ModelProto.FromString(content)
    held.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    (tmp_path / "m").write_bytes(changed(held.SerializeToString()))
    with pytest.raises(DamagedFile, match=r"tensor '.*' lies in '', which is not in the folder of the model"):
        reprise.restore(tmp_path / "m")
