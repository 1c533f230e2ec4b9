import numpy as np
import pytest

from reprise.errors import SaveError
from reprise.export import export, triton
from tests.export import models, stacks

CONFIGURATION = """\
backend: "onnxruntime"
max_batch_size: 0
input [
  { name: "x" data_type: TYPE_INT32 dims: [ 1, -1 ] }
]
output [
  { name: "logits" data_type: TYPE_FP32 dims: [ -1, 7 ] },
  { name: "probabilities" data_type: TYPE_FP32 dims: [ -1, 7 ] }
]
sequence_batching {
  max_sequence_idle_microseconds: 60000000
  direct { }
  state {
    input_name: "state_in.packed" output_name: "state_out.packed"
    data_type: TYPE_FP32 dims: [ 1, 16 ]
    initial_state { name: "first" data_type: TYPE_FP32 dims: [ 1, 16 ] zero_data: true }
  }
}
"""


def test_the_server_is_told_to_carry_the_state(tmp_path):
    export(stacks.model(), tmp_path / "model", to="triton")
    assert (tmp_path / "model" / "config.pbtxt").read_text() == CONFIGURATION
    assert (tmp_path / "model" / "1" / "model.onnx").is_file()


def test_the_first_state_lies_in_a_file(tmp_path):
    model = models.model(initial="file")
    export(model, tmp_path / "model", to="triton")
    assert 'data_file: "state0"' in (tmp_path / "model" / "config.pbtxt").read_text()
    first = np.fromfile(tmp_path / "model" / "initial_state" / "state0", np.float32)
    np.testing.assert_array_equal(first, model.initial_state(1)["h"][0])


def test_a_state_that_starts_from_inputs_is_refused(tmp_path, monkeypatch):
    model = models.model()
    late = models.interface(initial="inputs")
    monkeypatch.setattr(model, "interface", late)
    with pytest.raises(SaveError, match="state 'h' starts from the inputs; a server of Triton starts states from"):
        triton.write(model, tmp_path)
