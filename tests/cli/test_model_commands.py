"""The commands on a real run folder: trained here, restored from its files."""

import json

import numpy as np
import pytest

import reprise as package
from reprise.examine import examine

TEXT = "the cat sat on the mat and the dog sat on the log\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny LSTM after a few steps, as `reprise train` leaves it."""
    from reprise.train import TrainConfig, begin

    place = tmp_path_factory.mktemp("trained")
    (place / "corpus.txt").write_text(TEXT * 200)
    shape = {"rnn_size": 12, "num_layers": 2, "seq_length": 10, "batch_size": 5, "embedding_size": 6}
    begin(TrainConfig((str(place / "corpus.txt"),), str(place / "run"), max_steps=4, sample_length=0, keep=1, **shape))
    for file in (place / "run").glob("model.ckpt-0.*"):  # with one checkpoint there is nothing to choose
        file.unlink()
    return place / "run"


def test_sample_is_the_library_call(reprise, folder):
    result = reprise("sample", folder, "-l", 30, "--prompt", "the ", "--seed", 4, "--temperature", 0.9)
    assert result.err == ""
    assert result.out == "the " + package.restore(folder).sample(30, prompt="the ", seed=4, temperature=0.9)


def test_a_saved_state_goes_on_where_it_was_left(reprise, folder, tmp_path):
    state = tmp_path / "s.safetensors"
    drawn = reprise("sample", folder, "-l", 10, "--prompt", "the", "--greedy", "--save-state", state).out
    further = reprise("sample", folder, "-l", 10, "--prompt", " ", "--greedy", "--state", state).out
    assert drawn + further == reprise("sample", folder, "-l", 10, "--prompt", drawn + " ", "--greedy").out


def test_the_state_of_another_number_of_samples_is_refused(reprise, folder, tmp_path):
    state = tmp_path / "s.safetensors"
    reprise("sample", folder, "-l", 2, "-n", 3, "--save-state", state)
    result = reprise("sample", folder, "-l", 2, "--prompt", "a", "--state", state)
    assert result.code == 1
    assert "expected shape (1, 12) for 1 rows" in result.err


def test_score_is_the_library_call(reprise, folder, tmp_path):
    (tmp_path / "text").write_text(TEXT)
    facts = json.loads(reprise("score", folder, tmp_path / "text", "--json").out)
    assert facts["bits_per_symbol"] == package.restore(folder).score(TEXT).bits_per_symbol
    assert 0 < facts["bits_per_symbol"] < 8


def test_a_vocabulary_of_another_length_shows_both(reprise, folder, tmp_path):
    (tmp_path / "vocab.json").write_text(json.dumps({"symbols": ["a", "b", "c"]}))
    result = reprise("sample", folder, "--vocabulary", tmp_path / "vocab.json")
    assert result.code == 1
    assert f"it has 3 symbols, but 'logits' of the model has {len(set(TEXT))}" in result.err


def test_run_in_two_parts_with_the_state_is_run_at_once(reprise, folder, tmp_path):
    ids = package.restore(folder).vocabulary.encode("the cat sat")[None]
    for name, part in (("all", ids), ("one", ids[:, :6]), ("two", ids[:, 6:])):
        np.savez(tmp_path / f"{name}.npz", tokens=part)
    state = tmp_path / "s.safetensors"
    feed = {
        name: ("--inputs", tmp_path / f"{name}.npz", "--outputs", tmp_path / f"{name}-out.npz")
        for name in ("all", "one", "two")
    }
    assert reprise("run", folder, *feed["all"]) == (0, "", "")
    assert reprise("run", folder, *feed["one"], "--save-state", state) == (0, "", "")
    assert reprise("run", folder, *feed["two"], "--state", state) == (0, "", "")
    logits = {name: np.load(tmp_path / f"{name}-out.npz")["logits"] for name in feed}
    np.testing.assert_allclose(np.concatenate([logits["one"], logits["two"]], axis=1), logits["all"], atol=1e-6)


def test_an_exported_file_gives_the_same_text(reprise, folder, tmp_path):
    result = reprise("export", folder, tmp_path / "m.onnx", "--to", "onnx")
    assert (result.code, result.out) == (0, "")
    assert "m.onnx" in result.err
    options = ("-l", 50, "--prompt", "the ", "--seed", 1)
    assert reprise("sample", tmp_path / "m.onnx", *options) == reprise("sample", folder, *options)


def test_inspect_says_that_a_vocabulary_of_another_length_cannot_be_sampled_with(reprise, folder, tmp_path):
    (tmp_path / "vocab.json").write_text(json.dumps({"symbols": ["a", "b", "c"]}))
    result = reprise("inspect", folder, "--vocabulary", tmp_path / "vocab.json")
    assert result.code == 0
    assert f"it cannot be sampled: vocabulary: it has 3 symbols, but 'logits' of the model has {len(set(TEXT))}" in (
        result.out
    )
    assert "reprise sample" not in result.out


def test_inspect_begins_with_what_the_model_is_and_keeps_to_a_screen(reprise, folder):
    result = reprise("inspect", folder)
    lines = result.out.splitlines()
    assert (result.code, result.err) == (0, "")
    assert lines[0].startswith(f"2-layer LSTM of 12 units, {len(set(TEXT))} characters, TensorFlow 2.")
    assert len(lines) <= 24
    assert lines[-1] == "(everything that was found: --evidence)"
    assert "state   layer1.c" in result.out
    assert "rnn/layer0/kernel" not in result.out


def test_inspect_prints_all_that_examine_finds_as_evidence(reprise, folder):
    result = reprise("inspect", folder, "--evidence")
    assert result == (0, f"{examine(folder)}\n", "")
    for words in (
        "TensorFlow checkpoint: ",
        "tokens:0",
        "state/layer1.c:0",
        "rnn/layer0/kernel       float32 [18, 48]  with Adam, Adam_1\n",
        "Evidence\n  loop",
        "It can be run",
    ):
        assert words in result.out


def test_inspect_as_data(reprise, folder):
    facts = json.loads(reprise("inspect", folder, "--json").out)
    assert facts["obstacle"] is None
    assert facts["headline"].startswith("2-layer LSTM of 12 units, ")
    assert [s["name"] for s in facts["interface"]["states"]] == ["layer0.c", "layer0.h", "layer1.c", "layer1.h"]
    assert {"name": "rnn/layer0/kernel", "dtype": "float32", "shape": [18, 48]} in facts["variables"]
    assert facts["vocabulary"]["symbols"] == sorted(set(TEXT))


def test_inspect_tells_what_stands_in_the_way(reprise, folder, tmp_path):
    for each in folder.glob("model.ckpt-4.meta"):
        (tmp_path / each.name).write_bytes(each.read_bytes())
    result = reprise("inspect", tmp_path / "model.ckpt-4.meta")
    assert result.code == 0
    assert "It cannot be run\n  MissingWeights: " in result.out
    assert "tokens:0" in result.out, "the interface is known all the same"
    facts = json.loads(reprise("inspect", tmp_path / "model.ckpt-4.meta", "--json").out)
    assert facts["obstacle"]["kind"] == "MissingWeights"


@pytest.mark.parametrize("command", ["sample", "inspect"])
def test_a_path_with_nothing_there(reprise, tmp_path, command):
    result = reprise(command, tmp_path / "model.ckpt")
    assert result.code == 1
    assert result.err.startswith(f"reprise: {tmp_path / 'model.ckpt'}: no such file or folder")
    assert result.err.count("\n") == 1


def test_a_forecast_is_scored_on_numbers_in_their_own_units(reprise, tmp_path):
    from reprise.train import TrainConfig, begin

    rows = np.sin(np.arange(300) / 7)[:, None] * [1.0, 200.0]
    data = tmp_path / "waves.csv"
    np.savetxt(data, rows, delimiter=",", header="near,far", comments="")
    sizes = {"rnn_size": 8, "num_layers": 1, "seq_length": 10, "batch_size": 2, "val_frac": 0.1, "max_steps": 2}
    begin(TrainConfig((str(data),), str(tmp_path / "run"), level="values", sample_length=0, **sizes))
    assert f"reprise forecast {tmp_path / 'run'} data.csv --steps 48" in (tmp_path / "run" / "README.md").read_text()

    facts = json.loads(reprise("score", tmp_path / "run", data, "--json").out)
    outputs, _ = package.restore(tmp_path / "run").run(rows[None].astype(np.float32))
    expected = np.sqrt(((outputs["values"][0, :-1] - rows[1:]) ** 2).mean(axis=0))
    assert facts["steps"] == 299
    np.testing.assert_allclose([column["rmse"] for column in facts["columns"]], expected, rtol=1e-4)
    assert "column far: root mean squared error " in reprise("score", tmp_path / "run", data).out


def test_states_are_named_with_their_next_values(reprise, folder):
    pairs = [f"{p.source_in}={p.source_out}" for p in package.restore(folder).interface.states]
    chosen = [word for pair in pairs for word in ("--state-tensor", pair)]
    found = json.loads(reprise("inspect", folder, "--json", *chosen).out)["interface"]["states"]
    assert [f"{s['source_in']}={s['source_out']}" for s in found] == pairs
    mixed = reprise("inspect", folder, "--state-tensor", "x:0", "--state-tensor", pairs[0])
    assert "expected TENSOR or TENSOR=NEXT for every state, found both" in mixed.err
