"""The page of a model: run in Node and, where there is one, in a browser, against what Python gives."""

import html
import re
import shutil
import subprocess
from urllib.parse import quote

import pytest

from reprise.errors import MissingDependency, SaveError, VerificationError
from reprise.export import export, web
from reprise.export.web import layers
from reprise.vocabulary import Vocabulary
from tests.export import stacks
from tests.export.models import model as small

node = pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
BROWSER = next((b for b in ("chromium-headless-shell", "chromium", "google-chrome") if shutil.which(b)), None)
browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


def shown(place, **query):
    """The text of the page at a place, once a browser has run it."""
    address = f"{place}/{web.PAGE}?{'&'.join(f'{k}={quote(str(v))}' for k, v in query.items())}"
    flags = ["--no-sandbox", "--headless", "--disable-gpu", "--virtual-time-budget=60000", "--dump-dom"]
    done = subprocess.run([BROWSER, *flags, address], capture_output=True, text=True, timeout=120, check=True)
    text = re.search(r'<div id="text"[^>]*>(.*?)</div>', done.stdout, re.S)
    return html.unescape(re.sub(r"</?span[^>]*>", "", text[1]))


@node
@pytest.mark.parametrize(("kind", "after"), stacks.KINDS)
@pytest.mark.parametrize("entrance", ["embedding", "one-hot", "features"])
def test_every_kind_of_layer_computes_in_javascript_what_the_model_does(tmp_path, kind, after, entrance):
    model = stacks.model(kind, entrance, reset_after=after)
    assert export(model, tmp_path / "page", to="web", steps=4).equal


@node
def test_activations_of_other_kinds_are_kept(tmp_path):
    model = stacks.model("LSTM", activations=("Relu", "Sigmoid", "Relu"))
    assert export(model, tmp_path / "page", to="web", steps=4).equal


@node
def test_a_wrong_order_of_gates_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(layers.ORDERS, "LSTM", "oifc")
    with pytest.raises(VerificationError, match="the models differ first at step"):
        export(stacks.model(), tmp_path / "page", to="web")
    assert not (tmp_path / "page").exists()


@node
@browser
@pytest.mark.parametrize("kind", ["characters", "words", "bytes"])
def test_the_page_prints_the_text_that_python_prints(tmp_path, kind):
    symbols = {"characters": "ab\n<é&y", "words": ["a", "<unk>", "to", "</script>", "é", "x", "y"], "bytes": "abcdefg"}
    model = stacks.model("GRU").with_vocabulary(Vocabulary(tuple(symbols[kind]), kind))
    export(model, tmp_path / "page", to="web", steps=2)
    for prompt in ("", "a a" if kind == "words" else "ab"):
        text = shown((tmp_path / "page").as_uri(), prompt=prompt, seed=2**63 + 5, temperature=0.7, length=60, speed=0)
        assert text == prompt + model.sample(60, prompt=prompt, seed=2**63 + 5, temperature=0.7)


@node
@browser
def test_rows_of_numbers_are_read_line_by_line(tmp_path):
    export(stacks.model(entrance="features"), tmp_path / "page", to="web", steps=2)
    assert shown((tmp_path / "page").as_uri(), prompt="1 0 2\n0.5,1,1", speed=0).count("probabilities") == 2


@node
def test_a_model_that_starts_from_values_of_its_own_does_so_on_the_page(tmp_path):
    assert export(small(initial="file"), tmp_path / "page", to="web", steps=3).equal


@node
def test_another_first_state_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(layers, "first_state_rows", lambda _: {})
    with pytest.raises(VerificationError, match="the models differ first at step 1 from zero state"):
        export(small(initial="file"), tmp_path / "page", to="web")


def test_without_node_nothing_is_promised(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(MissingDependency, match="Node is not installed, and without it what is written cannot be"):
        export(stacks.model(), tmp_path / "page", to="web")
    assert not (tmp_path / "page").exists()


def test_weights_beyond_what_a_page_holds_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(layers, "LARGEST", 100)
    with pytest.raises(SaveError, match="MB of weights are too many for a page"):
        export(stacks.model(), tmp_path / "page", to="web")
