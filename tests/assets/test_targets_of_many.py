"""A range of more shift dates than one query asks for: the checks of all of them are of what stands there."""

import pytest

from clopos_assets.targets import targets_of
from tests.assets.conftest import Project
from tests.assets.test_standing_checks import DAYS, OF_FINDINGS, OF_RAW, all_of, shown


def test_the_checks_of_every_date_name_what_they_speak_of(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clopos_assets.targets._AT_ONCE", 1)
    assert project.run(*DAYS).success
    assert targets_of(project.instance, "receipts", DAYS).keys() == set(DAYS)
    assert shown(project, OF_FINDINGS + OF_RAW) == all_of(OF_FINDINGS + OF_RAW, "SUCCEEDED")
