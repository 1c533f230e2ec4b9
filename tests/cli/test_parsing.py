"""Options as people type them: underscores, one hyphen, those of other programs."""

from importlib import import_module

import pytest

from reprise.cli import parser
from reprise.cli._family import SAMPLE, TRAIN


def read(command, *arguments):
    made = parser(import_module(f"reprise.cli.{command}"))
    return made.parse_args(made.spelled(arguments))


@pytest.mark.parametrize("typed", [["--rnn-size", "16"], ["--rnn_size", "16"], ["-rnn_size", "16"], ["-rnn_size=16"]])
def test_underscores_are_hyphens_and_one_hyphen_is_two(typed):
    assert read("train", "a.txt", *typed, "-o", "run").rnn_size == 16


def test_a_value_may_be_joined_to_a_short_option_or_look_like_an_option():
    assert read("sample", "m", "-l20", "--prompt", "--what is_it", "--temperature=-1").length == 20
    assert read("sample", "m", "--prompt=-n_1").prompt == "-n_1"
    assert read("sample", "m", "--prompt", "--what is_it").prompt == "--what is_it"
    assert read("inspect", "--", "-n_1").path.name == "-n_1"


def test_options_of_other_programs_mean_what_they_mean_there(tmp_path):
    (tmp_path / "input.txt").write_text("text")
    said = read("train", "-data_dir", str(tmp_path), "--save_dir=save", "-num_unrollings", "9", "-eval_val_every", "5")
    assert (said.data_dir, said.out, said.seq_length) == ([str(tmp_path / "input.txt")], "save", 9)
    assert said.checkpoint_every == 5
    assert read("train", "--data-file", "a.txt", "--init_from", "b").data_dir == ["a.txt"]


@pytest.mark.parametrize(("command", "table"), [("train", TRAIN), ("sample", SAMPLE)])
def test_every_option_of_another_program_is_one_of_this_or_has_an_answer(command, table):
    known = parser(import_module(f"reprise.cli.{command}"))._option_string_actions
    assert not table.keys() & known.keys(), "an option that is known needs no other meaning"
    assert all(meant in known or meant.endswith(".") for meant in table.values())


def test_an_option_that_means_something_else_is_answered(reprise):
    result = reprise("train", "a.txt", "--output_keep_prob", "0.5")
    assert result.code == 2
    assert "there is no option --output_keep_prob. Use --dropout, the share that is dropped: 1 minus" in result.err
