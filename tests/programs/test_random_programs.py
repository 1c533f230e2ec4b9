"""Random programs of TensorFlow 1: restored, they give over many carried steps what TensorFlow gave.

python -m tests.programs.saved FOLDER FIRST LAST saves more of them, with any TensorFlow from 1.15 on;
python -m tests.programs.test_random_programs FOLDER holds these to their records.
"""

import json
import os
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import pytest

from tests.programs.held import verdict

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = 40


def outcomes(folder):
    """What came of each saved program, why, and what it is made of."""
    for about in sorted(Path(folder).glob("*/about.json")):
        yield about.parent.name, *verdict(about.parent), ", ".join(json.loads(about.read_text())["says"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_random_program_gives_what_tensorflow_gave_or_is_refused(tmp_path):
    command = [sys.executable, "-m", "tests.programs.saved", tmp_path, "0", str(PROGRAMS)]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}, capture_output=True)
    found = list(outcomes(tmp_path))
    assert not [one for one in found if one[1] not in ("right", "not stepped") and not one[1].startswith("refused")]
    assert sum(one[1] == "right" for one in found) > PROGRAMS // 2


def main(folder):
    counted = Counter()
    for name, what, words, says in outcomes(folder):
        counted[what.partition(" ")[0] if what.startswith("refused") else what] += 1
        if what != "right":
            sys.stdout.write(f"{name} {what}: {' '.join(words.split())[:400]}\n        {says}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{dict(counted)}\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1])
