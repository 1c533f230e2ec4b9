import shutil
import subprocess

import numpy as np
import pytest

from reprise.errors import MissingDependency, SaveError, VerificationError
from reprise.export import c, export
from reprise.verify import compare
from tests.export import models, stacks

CC = shutil.which("cc")
needs_compiler = pytest.mark.skipif(CC is None, reason="no C compiler (cc) is installed")

MAIN = r"""
#include "model.h"
#include <stdio.h>

int main(void)
{
    struct model_state state;
    struct model_outputs outputs;
    long id = 2;
    model_init(&state);
    if (model_step(&state, -1, &outputs) != -1)
        return 1;
    for (int i = 0; i < 12; i++) {
        if (model_step(&state, id, &outputs))
            return 1;
        id = model_sample(outputs.logits, 7, 0.0, 0.0);
        fputs(model_symbols[id], stdout);
    }
    return 0;
}
"""


@needs_compiler
@pytest.mark.parametrize(
    ("kind", "reset_after", "entrance"),
    [("LSTM", False, "embedding"), ("GRU", False, "one-hot"), ("GRU", True, "features"), ("RNN", False, "embedding")],
)
def test_what_is_compiled_computes_the_same(kind, reset_after, entrance, tmp_path):
    model = stacks.model(kind, entrance, reset_after=reset_after)
    export(model, tmp_path / "c", to="c", steps=5)
    assert compare(model, c.read(tmp_path / "c", model), steps=7, batch=3).equal
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["model.c", "model.h"]


@needs_compiler
def test_a_program_prints_the_text_that_the_model_gives(tmp_path):
    model = stacks.model()
    export(model, tmp_path, to="c")
    (tmp_path / "main.c").write_text(MAIN)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    sources = [str(tmp_path / name) for name in ("main.c", "model.c")]
    subprocess.run([CC, *flags, *sources, "-o", str(tmp_path / "main"), "-lm"], check=True)
    printed = subprocess.run([str(tmp_path / "main")], capture_output=True, text=True, check=True).stdout
    assert printed == model.sample(12, prompt="c", greedy=True)


@needs_compiler
def test_a_sequence_starts_from_the_state_of_the_file(tmp_path):
    model = models.model(initial="file")
    export(model, tmp_path / "c", to="c")
    assert "memcpy(state->layer1_h, first_layer1_h, sizeof first_layer1_h);" in (tmp_path / "c" / "model.c").read_text()


@needs_compiler
def test_another_first_state_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(c, "first_state_rows", lambda _: {})
    with pytest.raises(VerificationError, match="the models differ first at step 1 from zero state"):
        export(models.model(initial="file"), tmp_path / "c", to="c")


@needs_compiler
def test_gates_in_another_order_are_not_kept(tmp_path, monkeypatch):
    stacks.wrong_order(monkeypatch, c)
    with pytest.raises(VerificationError, match="the models differ first at step 1 from zero state"):
        export(stacks.model(), tmp_path / "c", to="c")
    assert not list(tmp_path.iterdir())


def test_without_a_compiler_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingDependency, match=r"no C compiler \(cc, gcc, clang\) is installed, and without one"):
        export(stacks.model(), tmp_path / "c", to="c")
    assert not list(tmp_path.iterdir())


def test_weights_that_are_too_many_for_text_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(c, "LARGEST", 100)
    with pytest.raises(SaveError, match=r"\d+ weights are too many for a C file \(100\)"):
        export(stacks.model(), tmp_path / "c", to="c")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    table = np.full((7, 5), 0.5, np.float32)
    table[6, 0] = np.inf
    with pytest.raises(SaveError, match="layer0_table has numbers that are not finite"):
        c.write(models.model(changed={"E": table}), tmp_path)
