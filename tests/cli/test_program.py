"""What all commands have in common."""

import os
import re
import subprocess
import sys

import pytest

import reprise as package
from reprise.cli import COMMANDS
from reprise.errors import ReadError


def test_help_names_every_command(reprise):
    result = reprise("--help")
    assert result.code == 0
    assert all(re.search(rf"^    {name} +\w", result.out, re.MULTILINE) for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_shows_real_examples(reprise, command):
    result = reprise(command, "--help")
    assert result.code == 0
    assert f"examples:\n  reprise {command}" in result.out


@pytest.mark.parametrize("arguments", [["--version"], ["version"]])
def test_version(reprise, arguments):
    assert reprise(*arguments) == (0, f"reprise {package.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["smaple"], "invalid choice: 'smaple'"), (["sample"], "required: MODEL"), (["score", "m", "t", "--js"], "--js")],
)
def test_a_command_line_that_is_not_understood_leaves_with_2(reprise, arguments, words):
    result = reprise(*arguments)
    assert result.code == 2
    assert words in result.err
    assert result.out == ""


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ReadError("model.ckpt: expected this,\n  found that"), "reprise: model.ckpt: expected this, found that\n"),
        (FileNotFoundError(2, "No such file or directory", "a.txt"), "reprise: a.txt: No such file or directory\n"),
        (OSError("the disk is tired"), "reprise: the disk is tired\n"),
    ],
)
def test_an_error_is_one_line_on_standard_error_and_exit_code_1(reprise, monkeypatch, error, line):
    def refuse():
        raise error

    monkeypatch.setattr("reprise.cli.version.version", refuse)
    assert reprise("version") == (1, "", line)


def test_an_extra_that_is_not_installed_is_named(reprise, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.delitem(sys.modules, "reprise.train.display", raising=False)
    result = reprise("train", tmp_path, "--out", tmp_path / "run")
    assert result.code == 1
    assert (
        result.err
        == "reprise: rich is not installed, and this command needs it: pip install 'reprise-rnn[tensorflow]'\n"
    )


def test_an_interruption_is_silent_and_leaves_with_130(reprise, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr("reprise.cli.version.version", interrupt)
    assert reprise("version") == (130, "", "")


def test_a_reader_that_leaves_ends_the_program_without_a_word():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "reprise", "formats"], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_formats_says_where_each_is_written_down(reprise):
    result = reprise("formats")
    assert result.code == 0
    assert "TensorFlow checkpoint  " in result.out
    assert "meta_graph.proto" in result.out
