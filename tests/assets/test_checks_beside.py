"""A date beside those asked for, to or from which a receipt moved: its checks are of what stands there, too."""

from datetime import date

from clopos_assets.assets.making import UNKNOWN_FIELDS_CHECK
from tests.assets.conftest import Project
from tests.assets.test_standing_checks import DAYS, OF_FINDINGS, OF_RAW, shown


def moved(project: Project, receipt_id: int) -> None:
    assert project.run(*DAYS).success
    project.shop.world.move_receipt(receipt_id, date.fromisoformat(DAYS[1]))


def test_checks_of_a_date_that_a_receipt_moved_to_are_of_what_stands_there(project: Project) -> None:
    moved(project, 1)
    assert project.run(DAYS[0]).success
    assert project.shop.stands(1)["receipts"] == [DAYS[1]]
    lost = [key for key, status in shown(project, OF_FINDINGS).items() if status is None]
    assert lost == []


def test_a_field_that_nobody_documents_is_told_of_the_date_that_the_receipt_moved_to(project: Project) -> None:
    moved(project, 1)
    project.shop.world.update_receipt(1, news=1)
    assert project.run(DAYS[0]).success
    assert project.shop.stands(1)["receipts"] == [DAYS[1]]
    keys = [key for key in OF_RAW if key.name == UNKNOWN_FIELDS_CHECK]
    assert shown(project, keys)["receipts", UNKNOWN_FIELDS_CHECK, DAYS[1]] == "FAILED"
