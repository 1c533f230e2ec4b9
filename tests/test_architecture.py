"""What the layout of the code promises, beside the ladder that import-linter holds."""

import subprocess
import sys
from pathlib import Path

import pytest

import reprise

SOURCES = Path(reprise.__file__).parent
HEAVY = ("tensorflow", "keras", "torch", "onnxruntime", "onnx", "matplotlib", "rich")
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
