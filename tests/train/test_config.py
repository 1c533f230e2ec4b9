import pytest

from reprise.errors import CallError
from reprise.train import TrainConfig


def test_the_defaults_are_those_of_the_char_rnn_family():
    config = TrainConfig(("a.txt",), "run")
    assert (config.model, config.rnn_size, config.num_layers) == ("lstm", 128, 2)
    assert (config.seq_length, config.batch_size, config.num_epochs) == (50, 50, 50)
    assert (config.learning_rate, config.learning_rate_decay, config.grad_clip, config.seed) == (2e-3, 0.97, 5, 123)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rnn_size": 0}, "--rnn-size is 0; expected a number from 1 to"),
        ({"dropout": 1.0}, "--dropout is 1.0; expected a number from 0 to 0.99"),
        ({"learning_rate": float("nan")}, "--learning-rate is nan"),
        ({"model": "transformer"}, "--model is 'transformer'; expected one of lstm, gru, rnn"),
        ({"level": "letters"}, "--level is 'letters'; expected one of characters, bytes, words, values"),
        ({"columns": ("a",)}, "--columns has no effect with --level characters, only with values"),
        ({"forget_bias": 0.0, "model": "gru"}, "--forget-bias has no effect with --model gru, only with lstm"),
        ({"forget_bias": 0.0, "init_from": "other"}, "--forget-bias has no effect with --init-from"),
        ({"header": False, "level": "words"}, "--header has no effect with --level words, only with values"),
        ({"vocabulary_size": 9}, "--vocabulary-size has no effect with --level characters, only with words"),
        (
            {"end_of_text": "x", "level": "values"},
            "--end-of-text has no effect with --level values, only with characters, bytes, words",
        ),
    ],
)
def test_a_value_out_of_range_is_refused_by_the_name_of_its_flag(changes, words):
    with pytest.raises(CallError, match=words.replace(".", r"\.")):
        TrainConfig(("a.txt",), "run", **changes)


def test_a_configuration_survives_json():
    config = TrainConfig(("a.txt", "b.txt"), "run", level="values", columns=("x", "y"), dropout=0.5)
    assert TrainConfig.from_json(config.to_json()) == config
    assert TrainConfig.from_json({**config.to_json(), "data": ["a.txt", "b.txt"], "of a later version": 1}) == config


def test_a_continued_run_may_be_longer_but_not_another():
    config = TrainConfig(("a.txt",), "run")
    assert config.changed({"num_epochs": 80, "rnn_size": 128}).num_epochs == 80
    with pytest.raises(CallError, match=r"--rnn-size is 64, but the run in run was started with 128.*--init-from"):
        config.changed({"rnn_size": 64})
