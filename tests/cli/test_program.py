"""What all commands have in common."""

import inspect
import os
import re
import subprocess
import sys
from importlib import import_module

import pytest

import reprise as package
from reprise.cli import COMMANDS, parser
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
    [
        (["smaple", "m"], "reprise: there is no command 'smaple'. Did you mean sample? See reprise --help."),
        (["gibberish"], "reprise: there is no command 'gibberish'. See reprise --help."),
        ([os.devnull], f"To look at a file: reprise inspect {os.devnull}. See reprise --help."),
        (["--verson"], "reprise: there is no option --verson. Did you mean --version? See reprise --help."),
        (["sample"], "reprise sample: the following arguments are required: MODEL. See reprise sample --help."),
        (["score", "m", "t", "--jsn"], "there is no option --jsn. Did you mean --json? See reprise score --help."),
        (["score", "m", "t", "-x"], "reprise score: there is no option -x. See reprise score --help."),
    ],
)
def test_a_command_line_that_is_not_understood_leaves_with_2_and_one_line(reprise, arguments, words):
    result = reprise(*arguments)
    assert result.code == 2
    assert result.err.endswith(f"{words}\n")
    assert result.err.count("\n") == 1
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
    for name in {"rich", *(name for name in sys.modules if name.startswith("rich."))}:
        monkeypatch.setitem(sys.modules, name, None)  # also what another test has loaded
    monkeypatch.delitem(sys.modules, "reprise.train.display", raising=False)
    result = reprise("train", tmp_path, "--out", tmp_path / "run")
    assert result.code == 1
    assert result.err.startswith("reprise: rich is not installed, and this command needs it: ")
    assert result.err.endswith("[tensorflow]'\n")


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


def test_closed_outputs_are_as_if_nobody_listened():
    done = subprocess.run(["/bin/sh", "-c", f"exec {sys.executable} -m reprise formats <&- >&- 2>&-"], check=False)
    assert done.returncode == 0


def test_formats_says_where_each_is_written_down(reprise):
    result = reprise("formats")
    assert result.code == 0
    assert "TensorFlow checkpoint  " in result.out
    assert "meta_graph.proto" in result.out


@pytest.mark.parametrize("command", ["inspect", "sample", "score", "run", "export"])
def test_every_command_that_restores_takes_what_restore_takes(command):
    actions = parser(import_module(f"reprise.cli.{command}"))._actions
    assert inspect.signature(package.restore).parameters.keys() <= {action.dest for action in actions}


def test_values_of_settings_are_numbers_flags_and_words_and_add_up():
    made = parser(import_module("reprise.cli.inspect"))
    assert made.parse_args(["m"]).settings == {}
    assert made.parse_args(["m", "--set", "keep=0.5,training=true", "--set", "kind=lstm"]).settings == {
        "keep": 0.5,
        "training": True,
        "kind": "lstm",
    }


def test_a_setting_without_a_value_is_not_understood(reprise):
    result = reprise("inspect", "m", "--set", "keep")
    assert result.code == 2
    assert "argument --set: expected NAME=VALUE, found 'keep'" in result.err


def test_a_name_that_is_no_text_is_shown_by_its_bytes(reprise):
    assert "bad\\udcffname: no such file or folder" in reprise("inspect", "bad\udcffname").err
