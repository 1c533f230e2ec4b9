"""State dicts in other files than PyTorch's: safetensors, JSON, and the flat lists of Neural Amp Modeler."""

import json

import numpy as np
import pytest
import safetensors.numpy

import reprise
from reprise.errors import DamagedFile, UnknownFormat
from reprise.formats import identify
from tests.formats.contract import FormatContract
from tests.formats.test_pytorch import D, H, numbers, recurrent, reference
from tests.formats.torch_files import save


def hidden(path, **choices):
    return reprise.restore(path, **choices).run(numbers(2, 4, D, seed=3))[0]


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_safetensors_compute_what_the_same_state_dict_does(tmp_path, kind):
    state = recurrent(kind, layers=2)
    safetensors.numpy.save_file(state, tmp_path / "m.safetensors")
    wanted = hidden(save(tmp_path / "m.pt", state))["hidden"]
    np.testing.assert_array_equal(hidden(tmp_path / "m.safetensors")["hidden"], wanted)


def test_a_safetensors_file_that_is_cut_is_refused_in_words(tmp_path):
    safetensors.numpy.save_file(recurrent("GRU"), tmp_path / "whole")
    (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:-8])
    with pytest.raises(DamagedFile, match=r"cut: is not a complete safetensors file \(.*\)\. Copy it again"):
        reprise.restore(tmp_path / "cut")


def as_json(path, state, **beside):
    lists = {name: array.tolist() for name, array in state.items()}
    path.write_text(json.dumps({**beside, "state_dict": lists} if beside else lists))
    return path


def test_json_computes_what_the_same_state_dict_does(tmp_path):
    state = recurrent("LSTM") | {"out.weight": numbers(1, H), "out.bias": numbers(1)}
    found = hidden(as_json(tmp_path / "m.json", state))["out"]
    np.testing.assert_allclose(found, hidden(save(tmp_path / "m.pt", state))["out"], rtol=1e-5)


def test_a_skip_adds_the_input_to_the_output(tmp_path):
    state = recurrent("GRU", 1) | {"lin.weight": numbers(1, H), "lin.bias": numbers(1)}
    plain = as_json(tmp_path / "plain.json", state, model_data={"unit_type": "GRU", "skip": 0})
    skip = as_json(tmp_path / "skip.json", state, model_data={"unit_type": "GRU", "skip": 1})
    x = numbers(2, 5, 1)
    without, with_skip = (reprise.restore(p).run(x)[0]["lin"] for p in (plain, skip))
    np.testing.assert_allclose(with_skip, without + x, rtol=1e-5, atol=1e-6)


def test_a_skip_adds_the_sound_and_not_the_knobs(tmp_path):
    state = recurrent("LSTM", 3) | {"lin.weight": numbers(1, H), "lin.bias": numbers(1)}
    plain = as_json(tmp_path / "plain.json", state, model_data={"input_size": 3, "skip": 0})
    skip = as_json(tmp_path / "skip.json", state, model_data={"input_size": 3, "skip": 1})
    x = numbers(2, 5, 3)
    without, with_skip = (reprise.restore(p).run(x)[0]["lin"] for p in (plain, skip))
    np.testing.assert_allclose(with_skip, without + x[..., :1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("skip", [2, "all"])
def test_a_skip_that_is_not_as_wide_as_the_output_is_refused(tmp_path, skip):
    state = recurrent("LSTM", 3) | {"lin.weight": numbers(1, H), "lin.bias": numbers(1)}
    as_json(tmp_path / "m.json", state, model_data={"skip": skip})
    with pytest.raises(DamagedFile, match=r"skip is .*; expected the number of channels of the output, \[1\]"):
        reprise.restore(tmp_path / "m.json")


def amplifier(path, layers=1, **changes):
    """A `.nam` file, and its parts: a state dict, the first states, the head."""
    state, first, flat = {}, {"h": [], "c": []}, []
    for layer in range(layers):
        width = 1 if layer == 0 else H
        both, bias = numbers(4 * H, width + H, seed=layer), numbers(4 * H, seed=layer)
        h, c = numbers(H, seed=layer + 20), numbers(H, seed=layer + 30)
        state |= {f"net.weight_ih_l{layer}": both[:, :width], f"net.weight_hh_l{layer}": both[:, width:]}
        state |= {f"net.bias_ih_l{layer}": bias, f"net.bias_hh_l{layer}": np.zeros_like(bias)}
        first["h"].append(h)
        first["c"].append(c)
        flat += [both.ravel(), bias, h, c]
    head, bias = numbers(H, seed=40), numbers(1, seed=41)
    content = {
        "version": "0.5.4",
        "architecture": "LSTM",
        "config": {"input_size": 1, "hidden_size": H, "num_layers": layers},
        "weights": np.concatenate([*flat, head, bias]).tolist(),
        "sample_rate": 48000,
    }
    path.write_text(json.dumps(content | changes))
    return state, first, (head, bias)


def test_an_amplifier_of_several_outputs_has_a_row_of_its_head_for_each(tmp_path):
    amplifier(tmp_path / "one.nam")
    content = json.loads((tmp_path / "one.nam").read_text())
    head, bias = content["weights"][-H - 1 : -1], content["weights"][-1]
    content["weights"][-H - 1 :] = [*head, *(2 * w for w in head), bias, 2 * bias]
    content["config"] |= {"in_channels": 1, "out_channels": 2}
    (tmp_path / "two.nam").write_text(json.dumps(content))
    x = numbers(2, 6, 1)
    one, two = (reprise.restore(tmp_path / name).run(x)[0]["head"] for name in ("one.nam", "two.nam"))
    np.testing.assert_allclose(two, np.concatenate([one, 2 * one], -1), rtol=1e-5, atol=1e-6)


def test_of_a_container_of_amplifiers_the_whole_one_is_taken(tmp_path):
    amplifier(tmp_path / "small.nam")
    amplifier(tmp_path / "whole.nam", layers=2)
    models = [json.loads((tmp_path / name).read_text()) for name in ("small.nam", "whole.nam")]
    held = {"submodels": [{"max_value": k, "model": m} for k, m in zip((0.5, 1.0), models, strict=True)]}
    content = {"version": "0.7.0", "architecture": "SlimmableContainer", "config": held, "weights": []}
    (tmp_path / "m.nam").write_text(json.dumps(content))
    model, x = reprise.restore(tmp_path / "m.nam"), numbers(2, 6, 1)
    wanted = reprise.restore(tmp_path / "whole.nam").run(x)[0]["head"]
    np.testing.assert_array_equal(model.run(x)[0]["head"], wanted)
    assert "of 2 models of several sizes the whole one, the last, is taken" in model.stored.notes


class TestSafetensors(FormatContract):
    name = "safetensors"

    @classmethod
    def write(cls, folder):
        safetensors.numpy.save_file(recurrent("GRU"), folder / "m.safetensors")
        return folder / "m.safetensors"


class TestJson(FormatContract):
    name = "PyTorch state dict as JSON"

    @classmethod
    def write(cls, folder):
        return as_json(folder / "m.json", recurrent("GRU"))


class TestAmplifier(FormatContract):
    name = "Neural Amp Modeler"

    @classmethod
    def write(cls, folder):
        amplifier(folder / "m.nam")
        return folder / "m.nam"


def test_an_amplifier_begins_from_the_state_in_its_file(tmp_path):
    state, first, (head, bias) = amplifier(tmp_path / "m.nam")
    model, x = reprise.restore(tmp_path / "m.nam"), numbers(2, 6, 1)
    rows = {k: np.repeat(np.stack(v), 2, 0) for k, v in first.items()}
    outputs, last = reference("LSTM", state, x, rows)
    found, after = model.run(x)
    np.testing.assert_allclose(found["head"][..., 0], outputs @ head + bias, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(after["layer0.h"][0], last["h"], rtol=1e-4, atol=1e-5)
    assert [s.initial for s in model.interface.states] == ["file", "file"]
    assert "made for 48000 samples a second" in model.stored.notes


def test_layers_of_an_amplifier_have_states_of_their_own(tmp_path):
    amplifier(tmp_path / "m.nam", layers=2)
    names = [s.name for s in reprise.restore(tmp_path / "m.nam").interface.states]
    assert names == ["layer0.h", "layer0.c", "layer1.h", "layer1.c"]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"architecture": "WaveNet"}, UnknownFormat, "of the architecture 'WaveNet', which is not recurrent"),
        ({"weights": [0.0] * 5}, DamagedFile, "5 weights, where 1 layers of 4 units on 1 inputs have 109"),
        ({"config": {}}, DamagedFile, "its config or weights cannot be read"),
        ({"config": {"input_size": 1, "hidden_size": 10**9, "num_layers": 10**9}}, DamagedFile, "cannot be read"),
    ],
)
def test_another_or_a_damaged_amplifier_is_refused_in_words(tmp_path, changes, error, words):
    amplifier(tmp_path / "m.nam", **changes)
    with pytest.raises(error, match=words):
        reprise.restore(tmp_path / "m.nam")


def test_each_is_known_by_its_content(tmp_path):
    safetensors.numpy.save_file(recurrent("GRU"), tmp_path / "a")
    amplifier(tmp_path / "b")
    as_json(tmp_path / "c", recurrent("GRU"))
    names = [identify(tmp_path / name).name for name in "abc"]
    assert names == ["safetensors", "Neural Amp Modeler", "PyTorch state dict as JSON"]
