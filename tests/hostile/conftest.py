"""The seeds of the campaign, written once for each test process."""

import pytest

from tests.hostile import seeds


@pytest.fixture(scope="session")
def seed_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds")
    seeds.write_all(folder)
    return folder
