"""What the layout of the code promises, beside the ladder that import-linter holds."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import reprise

SOURCES = Path(reprise.__file__).parent
HEAVY = ("tensorflow", "keras", "torch", "onnxruntime", "onnx", "matplotlib", "rich")
SHARED = {
    "self",
    "structure",
    "view",
    "graph",
    "facts",
    "axes",
    "node",
    "site",
    "inputs",
}  # what rooms and rules hand round
REPORT = f"import sys; print(*[m for m in {HEAVY} if m in sys.modules])"


def loaded_by(code):
    """Which of the heavy packages a new process has loaded after `code`."""
    done = subprocess.run([sys.executable, "-c", f"{code}\n{REPORT}"], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code", ["import reprise", "from reprise import Vocabulary, RepriseError", "import reprise.cli"]
)
def test_importing_loads_nothing_heavy(code):
    assert loaded_by(code) == set()


def test_a_heavy_import_would_be_seen():
    assert loaded_by("import reprise, onnxruntime") >= {"onnxruntime"}


@pytest.mark.parametrize(
    "first", ["import reprise.restore", "from reprise.restore import restore", "import reprise.export"]
)
def test_functions_are_not_hidden_by_modules_of_their_name(first):
    code = f"{first}\nimport reprise; assert callable(reprise.restore) and callable(reprise.export)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_are_there():
    for name in reprise.__all__:
        assert getattr(reprise, name).__name__ == name
        assert name in dir(reprise)


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'reprise' has no attribute 'restroe'"):
        _ = reprise.restroe


@pytest.mark.parametrize("path", sorted(SOURCES.rglob("*.py")), ids=lambda p: p.relative_to(SOURCES).as_posix())
def test_a_file_stays_a_few_screens_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


def long_functions(folder):
    """Every function of a folder whose body has more than 15 lines, with its docstring."""
    for path in sorted((SOURCES / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                words = ast.get_docstring(node) or ""
                begin = node.body[0].end_lineno if words else node.lineno
                if node.end_lineno - begin > 15:
                    yield f"{path.relative_to(SOURCES)}: {node.name}", node, words


@pytest.mark.parametrize("folder", ["interface", "operators"])
def test_the_docstring_of_a_long_function_says_what_comes_in_and_what_goes_out(folder):
    silent = []
    for name, node, words in long_functions(folder):
        arguments = {a.arg for a in (*node.args.args, *node.args.kwonlyargs)} - SHARED
        silent += [name] if not words or any(not re.search(rf"\b{a}\b", words) for a in arguments) else []
    assert silent == []


def test_long_functions_are_found():
    assert any("discover.py: discover" in name for name, _, _ in long_functions("interface"))
