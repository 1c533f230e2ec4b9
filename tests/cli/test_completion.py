"""Scripts for shells; those of zsh and fish are checked where these are installed."""

import shutil
import subprocess

import pytest

from reprise.cli import COMMANDS
from reprise.cli._completion import script


def completed(*words):
    """What bash offers for the last of the words."""
    line = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _reprise; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(["/bin/bash", "-c", f"{script('bash')}\n{line}"], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_bash_completes_commands_options_and_leaves_files_to_the_shell():
    assert completed("reprise", "s") == [c for c in COMMANDS if c.startswith("s")]
    assert completed("reprise", "train", "--rnn") == ["--rnn-size"]
    assert {"-l", "--length", "--temperature"} <= {*completed("reprise", "sample", "m", "-")}
    assert completed("reprise", "sample", "mod") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_names_every_command_and_option_and_is_the_shell_s_own(reprise, tmp_path, shell):
    result = reprise("--completion", shell)
    assert (result.code, result.out) == (0, script(shell))
    assert all(command in result.out for command in COMMANDS)
    assert "data-dir" not in result.out, "what is not in the help is no option to offer"
    (tmp_path / "script").write_text(result.out, encoding="utf-8")
    if shutil.which(shell):
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)


def test_another_shell_is_refused(reprise):
    result = reprise("--completion", "tcsh")
    assert result.code == 2
    assert "invalid choice: 'tcsh' (choose from" in result.err
