"""Of a run of one date each check is told once: a second evaluation would count the same findings again."""

from collections import Counter

from tests.assets.conftest import Project
from tests.assets.test_standing_checks import DAYS, OF_FINDINGS, OF_RAW


def test_each_check_of_a_date_is_told_once(project: Project) -> None:
    result = project.run(DAYS[0])
    assert result.success
    told = Counter(event.asset_check_key for event in result.get_asset_check_evaluations())
    assert told == dict.fromkeys(OF_FINDINGS + OF_RAW, 1)
