"""Text that a graph cuts into characters itself."""

from reprise.interface.normal.texts import open_texts
from reprise.structure import analyse
from tests.interface.building import Builder


def test_text_that_is_cut_into_characters_is_given_as_characters():
    graph = Builder()
    text = graph.placeholder("text", None, dtype="string")
    cut = graph("UnicodeDecode", graph("Reshape", text, graph.const([-1])), input_encoding=b"UTF-8")
    letters = graph("UnicodeEncode", graph("Reshape", cut._replace(index=1), graph.const([-1, 1])), graph.const([0, 1]))
    ids = graph("LookupTableFindV2", graph("HashTableV2"), letters, graph.const(0))
    rows = graph("RaggedTensorToTensor", graph.const(-1), ids, graph.const(0), cut, name="rows", T="int64")
    opened = open_texts(analyse(graph.graph()))
    assert opened.graph["text"].declared() == (None, None)
    assert opened.graph.through(rows, {"Identity"}) == ids
    assert opened.graph.through(letters, {"Identity"}) == text
    assert opened.notes == (
        "text:0 is text that the graph cuts into characters; here it is one character for each step",
    )


def test_text_that_is_cut_in_another_way_stays():
    graph = Builder()
    cut = graph("StringSplitV2", graph.placeholder("text", None, dtype="string"), graph.const(0))
    graph("RaggedTensorToTensor", graph.const(-1), cut._replace(index=1), graph.const(0), cut, T="string")
    structure = analyse(graph.graph())
    assert open_texts(structure).graph is structure.graph
