"""The programs of `examples/` print what Python prints."""

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from reprise.export import export
from reprise.vocabulary import Vocabulary
from tests.export import stacks

EXAMPLES = Path(__file__).parents[1] / "examples"
CC = shutil.which("cc")
FLAGS = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror"]
COUNT, SEED, TEMPERATURE = 60, 2**63 + 9, 0.7
compiler = pytest.mark.skipif(CC is None, reason="no C compiler (cc) is installed")


def model(kind="LSTM"):
    return stacks.model(kind).with_vocabulary(Vocabulary.of_text("abcdefg"))


def wanted(made):
    return "cab" + made.sample(COUNT, prompt="cab", seed=SEED, temperature=TEMPERATURE)


def printed(*command):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True, timeout=120).stdout


@compiler
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_c_program_on_the_c_target(tmp_path, kind):
    made = model(kind)
    export(made, tmp_path, to="c", steps=2)
    source = [EXAMPLES / "c/sample.c", tmp_path / "model.c", "-I", tmp_path]
    printed(CC, *FLAGS, "-Wpedantic", *source, "-o", tmp_path / "sample", "-lm")
    assert printed(tmp_path / "sample", "cab", COUNT, SEED, TEMPERATURE) == wanted(made)


@compiler
def test_a_c_program_on_tensorflows_library_reads_saver_files(tmp_path):
    if (found := find_spec("tensorflow")) is None:
        pytest.skip("TensorFlow is not installed")
    home = Path(found.submodule_search_locations[0])
    libraries = [home / f"libtensorflow_{part}.so.2" for part in ("cc", "framework")]
    if not all(library.exists() for library in libraries):
        pytest.skip("TensorFlow's package has no C library here")
    made = model()
    export(made, tmp_path / "m", to="saver", steps=2)
    places = ["-I", home / "include", "-I", EXAMPLES / "c", f"-Wl,-rpath,{home}"]
    printed(CC, *FLAGS, EXAMPLES / "tensorflow/sample.c", "-o", tmp_path / "sample", *libraries, *places, "-lm")
    options = ("abcdefg", "cab", COUNT, SEED, TEMPERATURE)
    assert printed(tmp_path / "sample", tmp_path / "m/model.ckpt", *options) == wanted(made)


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
def test_a_node_program_on_the_folder_of_the_page(tmp_path):
    made = model("GRU")
    export(made, tmp_path, to="web", steps=2)
    assert printed("node", EXAMPLES / "node/sample.js", tmp_path, "cab", COUNT, SEED, TEMPERATURE) == wanted(made)


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
@pytest.mark.skipif(not (EXAMPLES.parent / "node_modules").exists(), reason="npm install onnxruntime-web was not run")
def test_a_node_program_on_the_onnx_file(tmp_path):
    made = model("GRU")
    export(made, tmp_path / "m.onnx", steps=2)
    text = printed("node", EXAMPLES / "node/onnx.js", tmp_path / "m.onnx", "abcdefg", "cab", COUNT)
    assert text == "cab" + made.sample(COUNT, prompt="cab", greedy=True)
