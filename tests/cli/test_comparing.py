"""`reprise verify` and `reprise diff` on files."""

import json

from reprise.export import export
from tests.export import stacks
from tests.export.models import model


def written(folder):
    """The same small model twice, and another."""
    export(model(), folder / "a.onnx")
    export(model(), folder / "b.onnx")
    export(model(seed=1), folder / "other.onnx")
    return folder / "a.onnx", folder / "b.onnx", folder / "other.onnx"


def test_equal_models_are_a_table_and_exit_code_0(reprise, tmp_path):
    a, b, _ = written(tmp_path)
    result = reprise("verify", a, b, "--steps", 3, "--symbols", 10)
    assert result.code == 0
    assert result.out.startswith("tensor  largest error  where")
    assert "the same numbers over 3 carried steps of 2 rows" in result.out
    assert "greedy text: all 10 symbols are the same" in result.out


def test_different_models_have_exit_code_1_and_the_first_step_that_differs(reprise, tmp_path):
    a, _, other = written(tmp_path)
    result = reprise("verify", a, other, "--steps", 3)
    assert (result.code, result.err) == (1, "")
    assert "the models differ first at step 1 from zero state" in result.out
    facts = json.loads(reprise("verify", a, other, "--json").out)
    assert not facts["equal"]


def test_diff_says_what_differs(reprise, tmp_path):
    a, b, other = written(tmp_path)
    assert reprise("diff", a, b).code == 0
    result = reprise("diff", a, other)
    assert result.code == 1
    assert "0 embedding 7×5" in result.out
    assert json.loads(reprise("diff", a, other, "--json").out)["vocabulary"] == ""


def test_a_stack_and_a_model_of_another_input_are_refused_in_one_line(reprise, tmp_path):
    export(stacks.model(entrance="features"), tmp_path / "s.onnx")
    a, _, _ = written(tmp_path)
    result = reprise("verify", a, tmp_path / "s.onnx")
    assert (result.code, result.out) == (1, "")
    assert "the models cannot be compared: no input of the second is input 'ids' (tokens) of the first" in result.err
