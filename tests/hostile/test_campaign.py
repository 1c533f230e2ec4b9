"""Damaged files by the thousand: errors of our own or a model; no hang, no flood of memory, no command."""

import json

import pytest

from reprise import formats
from tests.hostile import campaign, seeds, worker
from tests.hostile.harms import HARMS


def test_every_format_has_a_seed():
    assert {each.name for each in formats.FORMATS} <= set(seeds.seeds())


def test_every_seed_is_whole(seed_folder):
    for seed in json.loads((seed_folder / "seeds.json").read_text()):
        path = seed_folder / seed["folder"] / seed["path"]
        if seed["name"] in seeds.OWN:
            worker.use(seed, path)
        else:  # a contract asks that it can be read: some need words of the caller to run
            formats.read(path)


def test_damaged_files_end_in_our_own_errors(seed_folder, tmp_path):
    assert campaign.run(seed_folder, 0, 600, tmp_path / "report") == []


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_damaged_files_end_in_our_own_errors_at_length(seed_folder, tmp_path):
    assert campaign.run(seed_folder, 600, 30_000, tmp_path / "report") == []


@pytest.mark.parametrize("harm", HARMS)
def test_the_campaign_sees_what_goes_wrong(tmp_path, harm):
    (tmp_path / "00").mkdir()
    (tmp_path / "00" / "m").write_bytes(b"model")
    seed = {"name": harm, "kind": harm, "folder": str(tmp_path / "00"), "path": "m"}
    (tmp_path / "seeds.json").write_text(json.dumps([seed]))
    found = campaign.run(tmp_path, 0, 1, tmp_path / "report")
    assert [finding["outcome"] for finding in found] == [harm]
