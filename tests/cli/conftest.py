import sys
from typing import Any, NamedTuple

import pytest

from reprise.cli import main


class Result(NamedTuple):
    code: int | str | None
    out: str
    err: str


@pytest.fixture
def reprise(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    """The command line in this process: arguments → exit code, standard output, standard error."""

    def run(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["reprise", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        sys.stdout.flush()
        return Result(left.value.code, *capfd.readouterr())

    return run
