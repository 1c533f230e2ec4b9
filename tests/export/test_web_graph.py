"""The page of a model that is no stack of layers: onnxruntime-web computes its graph, in Node and in a browser."""

import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from reprise.errors import MissingDependency, SaveError, VerificationError
from reprise.export import export, web
from reprise.export.web import graph
from reprise.vocabulary import Vocabulary
from tests.export import stacks
from tests.export.models import model as small
from tests.export.test_web import browser, node, shown


def is_here():
    try:
        return bool(graph._runtime())
    except MissingDependency:
        return False


runtime = pytest.mark.skipif(not is_here(), reason="onnxruntime-web is not installed (npm install onnxruntime-web)")


@pytest.fixture(autouse=True)
def no_stacks(monkeypatch):
    """Takes every model for one that is no stack of layers."""

    def refuse(_):
        raise SaveError("no stack")

    monkeypatch.setattr(web, "stack_of", refuse)


@pytest.fixture
def served(tmp_path):
    """The address of the folder `tmp_path`."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@node
@runtime
@pytest.mark.parametrize("entrance", ["embedding", "one-hot", "features"])
def test_a_graph_computes_in_javascript_what_the_model_does(tmp_path, entrance):
    assert export(stacks.model("GRU", entrance), tmp_path / "page", to="web", steps=4).equal


@node
@runtime
@pytest.mark.parametrize("options", [{"initial": "file"}, {"steppable": False}], ids=str)
def test_first_states_and_whole_sequences_are_kept(tmp_path, options):
    assert export(small(**options), tmp_path / "page", to="web", steps=3).equal


@node
@runtime
def test_another_first_state_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(graph, "_first", lambda _: None)
    with pytest.raises(VerificationError, match="the models differ first at step 1 from zero state"):
        export(small(initial="file"), tmp_path / "page", to="web")
    assert not (tmp_path / "page").exists()


@node
@browser
@runtime
@pytest.mark.parametrize("entrance", ["embedding", "one-hot"])
def test_the_page_of_a_graph_prints_the_text_that_python_prints(tmp_path, served, entrance):
    model = stacks.model("LSTM", entrance).with_vocabulary(Vocabulary.of_text("abcdefg"))
    export(model, tmp_path / "page", to="web", steps=2)
    text = shown(f"{served}/page", prompt="cab", seed=5, temperature=0.7, length=60, speed=0)
    assert text == "cab" + model.sample(60, prompt="cab", seed=5, temperature=0.7)


@node
@browser
@runtime
def test_a_whole_sequence_is_read_at_once(tmp_path, served):
    export(small(steppable=False), tmp_path / "page", to="web", steps=2)
    assert shown(f"{served}/page", prompt="1\n2\n3", speed=0).count("logits") == 1


def test_without_onnxruntime_web_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(MissingDependency, match="its page runs on onnxruntime-web, which is not here: npm install"):
        export(small(), tmp_path / "page", to="web")
    assert not (tmp_path / "page").exists()
