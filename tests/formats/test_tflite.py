"""LiteRT models, held against TensorFlow's interpreter of them."""

import flatbuffers
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

import reprise
from reprise import formats
from reprise.errors import DamagedFile, RepriseError
from tests.formats.contract import FormatContract

pytestmark = pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")
T, D, H, V = 5, 4, 24, 7  # the converter quantises kernels from 1024 numbers on


def weight(*shape):
    return np.random.default_rng(sum(shape)).normal(0, 0.5, shape).astype(np.float32)


def step_model(path, *, quantised=False):
    """One step of a GRU whose state is fed, as TensorFlow's converter writes it."""
    root = tf.Module()
    root.table, root.kernel, root.recurrent = (tf.Variable(weight(*s)) for s in ((V, D), (D, 3 * H), (H, 3 * H)))
    root.output = tf.Variable(weight(H, V))

    @tf.function(input_signature=[tf.TensorSpec([1], tf.int32), tf.TensorSpec([1, H])])
    def step(ids, h):
        x, r = tf.split(tf.gather(root.table, ids) @ root.kernel, 3, 1), tf.split(h @ root.recurrent, 3, 1)
        z = tf.sigmoid(x[0] + r[0])
        h = z * h + (1 - z) * tf.tanh(x[2] + tf.sigmoid(x[1] + r[1]) * r[2])
        return {"scores": h @ root.output, "next": h}

    converter = tf.lite.TFLiteConverter.from_concrete_functions([step.get_concrete_function()], root)
    converter.optimizations = [tf.lite.Optimize.DEFAULT] if quantised else []
    path.write_bytes(converter.convert())
    return path


def operator_model(path, name, options, inputs, outputs):
    """One operator over inputs that are shapes (the first is fed, others keep their content), arrays or None."""
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.buffers, graph.tensors = 3, [schema.BufferT()], []

    def tensor(content, shape, *, variable=False):
        made = schema.TensorT()
        made.name, made.shape, made.buffer, made.isVariable = f"t{len(graph.tensors)}", list(shape), 0, variable
        if content is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(content.tobytes(), np.uint8)
            model.buffers.append(buffer)
            made.buffer = len(model.buffers) - 1
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    op, code = schema.OperatorT(), schema.OperatorCodeT()
    op.inputs = [
        -1 if one is None else tensor(None, one, variable=k > 0) if isinstance(one, tuple) else tensor(one, one.shape)
        for k, one in enumerate(inputs)
    ]
    op.outputs = [tensor(None, shape) for shape in outputs]
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
    op.builtinOptions, op.opcodeIndex = options, 0
    op.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
    graph.inputs, graph.outputs, graph.operators = op.inputs[:1], op.outputs, [op]
    model.operatorCodes, model.subgraphs = [code], [graph]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def interpreted(path, feeds):
    """The outputs of TensorFlow's interpreter, in the order of the file."""
    interpreter = tf.lite.Interpreter(str(path))
    interpreter.allocate_tensors()
    for one in interpreter.get_input_details():
        interpreter.set_tensor(one["index"], feeds[one["name"]])
    interpreter.invoke()
    return {one["name"]: interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()}


class TestContract(FormatContract):
    name = "LiteRT model"

    @classmethod
    def write(cls, folder):
        return step_model(folder / "model.tflite")


@pytest.mark.parametrize(("quantised", "tolerance"), [(False, 1e-5), (True, 2e-2)])
def test_a_step_whose_state_is_fed_carries_it(tmp_path, quantised, tolerance):
    path = step_model(tmp_path / "model.tflite", quantised=quantised)
    model = reprise.restore(path)
    [state], [port] = model.interface.states, model.interface.inputs
    h = weight(1, H)
    carried = model.initial_state().replace({state.name: h})
    for one in (3, 0, 6):
        ids = np.array([one], np.int32)
        made = tf.lite.Interpreter(str(path)).get_signature_runner()(ids=ids, h=h)
        outputs, carried = model.step({port.name: ids}, carried)
        np.testing.assert_allclose(carried[state.name], made["next"], atol=tolerance)
        np.testing.assert_allclose(next(iter(outputs.values())), made["scores"], atol=tolerance)
        h = carried[state.name]
    assert any("weights are quantised (int8" in note for note in model.stored.notes) == quantised


def steps_one_by_one(path, kind):
    """A plain RNN whose steps are written out, the first from zeros, with numbers of a kind."""
    root = tf.Module()
    root.kernel, root.recurrent, root.output = (tf.Variable(weight(*s) / 3) for s in ((D, 48), (48, 48), (48, V)))

    @tf.function(input_signature=[tf.TensorSpec([1, T, D])])
    def steps(x):
        states = [tf.zeros([1, 48])]
        for row in tf.unstack(x, axis=1):
            states.append(tf.tanh(row @ root.kernel + states[-1] @ root.recurrent))
        return tf.stack([h @ root.output for h in states[1:]], 1)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([steps.get_concrete_function()], root)
    converter.optimizations = [tf.lite.Optimize.DEFAULT] if kind != "float32" else []
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind in ("int8", "int16"):
        converter.representative_dataset = lambda: ([weight(k + 1, T, D)[:1]] for k in range(9))
    if kind == "int16":
        sets = tf.lite.OpsSet
        converter.target_spec.supported_ops = [sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8]
    path.write_bytes(converter.convert())
    return path


NUMBERS = {
    "float32": (1e-5, ""),
    "float16": (1e-5, ""),
    "int8": (0.05, "are computed"),
    "int16": (5e-3, "are computed"),
}


@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")
@pytest.mark.parametrize("kind", NUMBERS)
def test_steps_that_are_written_out_are_one_recurrence_in_numbers_of_any_kind(tmp_path, kind):
    path, (tolerance, told) = steps_one_by_one(tmp_path / "model.tflite", kind), NUMBERS[kind]
    model = reprise.restore(path)
    x = weight(1, T, D)
    [expected] = interpreted(path, {"serving_default_x:0": x}).values()
    np.testing.assert_allclose(next(iter(model.run(x)[0].values())), expected, atol=tolerance)
    assert [s.shape for s in model.interface.states] == [(None, 48)]
    assert told in " ".join(model.stored.notes)
    assert bool(told) == bool(model.stored.notes)


def lstm_inputs(*, coupled, peepholes, projected, normalised):
    """The inputs of a sequence LSTM; the first is the sequence."""
    out = 3 if projected else H
    kernels = [None if coupled and k == 0 else weight(H, D) + k / 10 for k in range(4)]
    recurrent = [None if coupled and k == 0 else weight(H, out) - k / 10 for k in range(4)]
    cells = [weight(H) if peepholes and not (coupled and k == 0) else None for k in range(3)]
    biases = [None if coupled and k == 0 else weight(H) + k / 5 for k in range(4)]
    projection = [weight(out, H), weight(out)] if projected else [None, None]
    norms = [weight(H) + k if normalised and not (coupled and k == 0) else None for k in range(4)]
    return [*kernels, *recurrent, *cells, *biases, *projection, (1, out), (1, H), *norms], out


@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("peepholes", [False, True])
@pytest.mark.parametrize(("projected", "normalised"), [(False, False), (True, False), (True, True)])
def test_an_lstm_over_a_sequence_is_what_the_interpreter_computes(tmp_path, coupled, peepholes, projected, normalised):
    kinds = {"coupled": coupled, "peepholes": peepholes, "projected": projected, "normalised": normalised}
    inputs, out = lstm_inputs(**kinds)
    options = schema.UnidirectionalSequenceLSTMOptionsT()
    options.fusedActivationFunction, options.cellClip, options.projClip = schema.ActivationFunctionType.TANH, 0.8, 0.4
    options.timeMajor = False
    path = tmp_path / "model.tflite"
    operator_model(path, "UNIDIRECTIONAL_SEQUENCE_LSTM", options, [(1, T, D), *inputs], [(1, T, out)])
    x = weight(1, T, D)
    model = reprise.restore(path)
    outputs, _ = model.run(x)
    [expected] = interpreted(path, {"t0": x}).values()
    np.testing.assert_allclose(next(iter(outputs.values())), expected, atol=1e-5)
    assert model.interface.steppable
    assert [s.shape for s in model.interface.states] == [(None, out), (None, H)]


def test_an_rnn_over_a_sequence_is_what_the_interpreter_computes(tmp_path):
    options = schema.SequenceRNNOptionsT()
    options.fusedActivationFunction, options.timeMajor = schema.ActivationFunctionType.RELU, True
    inputs = [(T, 1, D), weight(H, D), weight(H, H), weight(H), (1, H)]
    path = tmp_path / "model.tflite"
    operator_model(path, "UNIDIRECTIONAL_SEQUENCE_RNN", options, inputs, [(T, 1, H)])
    x = weight(T, 1, D)
    outputs, _ = reprise.restore(path).run(x)
    np.testing.assert_allclose(next(iter(outputs.values())), interpreted(path, {"t0": x})["t5"], atol=1e-5)


def kernels_of_both_directions(out, *, coupled):
    inputs, _ = lstm_inputs(coupled=coupled, peepholes=True, projected=out != H, normalised=False)
    return inputs[:17], inputs[17:19]


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("time_major", [False, True])
@pytest.mark.parametrize("coupled", [False, True])
def test_an_lstm_of_both_directions_is_what_the_interpreter_computes(tmp_path, merged, time_major, coupled):
    options = schema.BidirectionalSequenceLSTMOptionsT()
    options.fusedActivationFunction, options.cellClip = schema.ActivationFunctionType.TANH, 0.8
    options.mergeOutputs, options.timeMajor = merged, time_major
    weights, states = kernels_of_both_directions(H, coupled=coupled)
    backward = [None if w is None else w[::-1].copy() for w in weights]
    steps = (T, 1) if time_major else (1, T)
    shapes = [(*steps, 2 * H)] if merged else [(*steps, H)] * 2
    inputs = [(*steps, D), *weights, *backward, *states, *states, *[None] * 9]
    path = operator_model(tmp_path / "m.tflite", "BIDIRECTIONAL_SEQUENCE_LSTM", options, inputs, shapes)
    check_calls(path, weight(*steps, D), calls=1)


@pytest.mark.parametrize("merged", [False, True])
def test_an_rnn_of_both_directions_is_what_the_interpreter_computes(tmp_path, merged):
    options = schema.BidirectionalSequenceRNNOptionsT()
    options.fusedActivationFunction, options.timeMajor = schema.ActivationFunctionType.RELU6, False
    options.mergeOutputs = merged
    one, other = ([weight(h, D), weight(h, h), weight(h), (1, h)] for h in (H, 5))
    shapes = [(1, T, H + 5)] if merged else [(1, T, H), (1, T, 5)]
    inputs = [(1, T, D), *one, *other, *[None] * 3]
    path = operator_model(tmp_path / "m.tflite", "BIDIRECTIONAL_SEQUENCE_RNN", options, inputs, shapes)
    check_calls(path, weight(1, T, D), calls=1)


@pytest.mark.parametrize("normalised", [False, True])
def test_a_step_of_an_lstm_that_keeps_its_states_is_carried_as_the_interpreter_does(tmp_path, normalised):
    inputs, out = lstm_inputs(coupled=False, peepholes=True, projected=True, normalised=normalised)
    options = schema.LSTMOptionsT()
    options.fusedActivationFunction, options.cellClip = schema.ActivationFunctionType.TANH, 0.8
    path = operator_model(tmp_path / "m.tflite", "LSTM", options, [(1, D), *inputs], [(1, out)])
    check_calls(path, weight(1, D), calls=4)


def test_a_step_of_an_rnn_that_keeps_its_state_is_carried_as_the_interpreter_does(tmp_path):
    options = schema.RNNOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.TANH
    inputs = [(1, D), weight(H, D), weight(H, H), weight(H), (1, H)]
    path = operator_model(tmp_path / "m.tflite", "RNN", options, inputs, [(1, H)])
    check_calls(path, weight(1, D), calls=4)


def check_calls(path, x, *, calls):
    """Compares all outputs with those of one interpreter, which keeps its states from call to call."""
    interpreter, model = tf.lite.Interpreter(str(path)), reprise.restore(path)
    interpreter.allocate_tensors()
    call, state = model.step if x.ndim == 2 else model.run, None
    for k in range(calls):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], (k + 1) * x)
        interpreter.invoke()
        expected = {one["name"]: interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()}
        outputs, state = call((k + 1) * x, state)
        assert outputs.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(outputs[name], value, atol=1e-5)


def test_an_operator_that_is_not_as_the_schema_has_it_is_refused(tmp_path):
    options = schema.UnidirectionalSequenceLSTMOptionsT()
    path = operator_model(tmp_path / "m.tflite", "UNIDIRECTIONAL_SEQUENCE_LSTM", options, [(1, T, D)], [(1, T, H)])
    with pytest.raises(DamagedFile, match=r"operator UNIDIRECTIONAL_SEQUENCE_LSTM of subgraph .* is not as the schema"):
        formats.read(path)


def test_an_output_that_no_operator_computes_is_refused(tmp_path):
    options = schema.RNNOptionsT()
    inputs = [(1, D), weight(H, D), weight(H, H), weight(H), (1, H)]
    path = operator_model(tmp_path / "m.tflite", "RNN", options, inputs, [(1, H)])
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    model.subgraphs[0].tensors.append(schema.TensorT())
    model.subgraphs[0].tensors[-1].name, model.subgraphs[0].tensors[-1].shape = "lost", [1, H]
    model.subgraphs[0].outputs = [len(model.subgraphs[0].tensors) - 1]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    with pytest.raises(DamagedFile, match="no operator computes the output lost"):
        formats.read(path)


def test_an_operator_whose_options_lie_outside_the_file_is_refused(tmp_path):
    options = schema.UnidirectionalSequenceLSTMOptionsT()
    shapes = [(1, T, D)] + [(H, D)] * 4
    path = operator_model(tmp_path / "m.tflite", "UNIDIRECTIONAL_SEQUENCE_LSTM", options, shapes, [(1, T, H)])
    whole = path.read_bytes()
    words = set()
    for place in range(0, len(whole) - 4, 4):
        path.write_bytes(whole[:place] + b"\x7f\x7f\x7f\x7f" + whole[place + 4 :])
        try:
            formats.read(path)
        except RepriseError as error:
            words.add(str(error))
    assert any("UNIDIRECTIONAL_SEQUENCE_LSTM" in each and "is not among the" in each for each in words)
