"""The demo, small: both processes, on a text of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.mark.filterwarnings("ignore")
def test_the_demo_trains_here_and_restores_where_tensorflow_cannot_be_imported(tmp_path):
    (tmp_path / "text").write_text("the cat sat on the mat and the dog sat on the log\n" * 1000)
    command = [SCRIPTS / "demo.py", "--text", tmp_path / "text", "--minutes", "0.1", "--out", tmp_path / "out"]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "import tensorflow → ImportError: tensorflow is not to be had in this process" in done.stdout
    assert "tokens:0" in done.stdout
    assert "equal to the checkpoint over 32 carried steps" in done.stdout
    assert "process start to first character" in done.stdout
    assert (tmp_path / "out" / "model.onnx").stat().st_size > 1000
