"""Staging, where an unfinished run leaves its answers, and waiting, where receipts of unmade shift dates stand."""

import os
import time

import pytest

from clopos_assets.lake import Lake, LakeError
from tests.lake.places import Place
from tests.lake.sample import DAY, OTHER_DAY

LONG_AGO = 0.0


def test_answers_are_kept_as_they_came(place: Place, lake: Lake) -> None:
    answers = {"101": b'[{"id":1}]', "102": b"", "103": bytes(range(256))}
    for name, body in answers.items():
        lake.stage("operations", DAY, name, body)
    assert lake.staged("operations", DAY, newer_than=LONG_AGO) == answers
    assert lake.staged("operations", DAY, newer_than=LONG_AGO) == answers
    assert place.names() == {f"_staging/operations/{DAY}/{name}" for name in answers}


def test_a_later_answer_takes_the_place(lake: Lake) -> None:
    lake.stage("operations", DAY, "101", b"old")
    lake.stage("operations", DAY, "101", b"new")
    assert lake.staged("operations", DAY, newer_than=LONG_AGO) == {"101": b"new"}


def test_kinds_and_dates_stand_apart(lake: Lake) -> None:
    lake.stage("operations", DAY, "101", b"a")
    lake.stage("pages", DAY, "101", b"b")
    lake.stage("operations", OTHER_DAY, "101", b"c")
    lake.unstage("operations", DAY)
    assert lake.staged("operations", DAY, newer_than=LONG_AGO) == {}
    assert lake.staged("pages", DAY, newer_than=LONG_AGO) == {"101": b"b"}
    assert lake.staged("operations", OTHER_DAY, newer_than=LONG_AGO) == {"101": b"c"}


def test_old_answers_are_dropped(folder_lake: Lake) -> None:
    lake = folder_lake
    for name, seconds in (("old", 1000), ("edge", 2000), ("new", 3000)):
        lake.stage("operations", DAY, name, b"x")
        os.utime(lake.root / "_staging" / "operations" / DAY / name, (seconds, seconds))
    assert lake.staged("operations", DAY, newer_than=2000.0) == {"edge": b"x", "new": b"x"}
    assert lake.staged("operations", DAY, newer_than=LONG_AGO) == {"edge": b"x", "new": b"x"}


def test_answers_are_as_old_as_the_store_says(place: Place, lake: Lake) -> None:
    lake.stage("operations", DAY, "101", b"x")
    assert lake.staged("operations", DAY, newer_than=time.time() - 60) == {"101": b"x"}
    assert lake.staged("operations", DAY, newer_than=time.time() + 60) == {}
    assert place.names() == set()


def test_a_shift_dates_answers_are_many(lake: Lake) -> None:
    answers = {str(number): str(number).encode() for number in range(1, 120)}
    for name, body in answers.items():
        lake.stage("operations", DAY, name, body)
    assert lake.staged("operations", DAY, newer_than=LONG_AGO) == answers
    lake.unstage("operations", DAY)
    assert lake.staged("operations", DAY, newer_than=LONG_AGO) == {}


def test_what_a_dead_writer_left_is_no_answer(folder_lake: Lake) -> None:
    lake = folder_lake
    lake.stage("operations", DAY, "101", b"x")
    left = lake.root / "_staging" / "operations" / DAY / ".102.0123456789abcdef"
    left.write_bytes(b"half an ans")
    assert lake.staged("operations", DAY, newer_than=LONG_AGO) == {"101": b"x"}
    assert not left.exists()


def test_an_answer_that_is_cleared_away_while_it_is_written_is_written_again(
    folder_lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a run that has made the date to which a receipt moves."""
    replace = os.replace
    cleared: list[str] = []

    def clear_first(unfinished: str, path: str) -> None:
        if not cleared:
            cleared.append(unfinished)
            folder_lake.unstage("operations", DAY)
        replace(unfinished, path)

    monkeypatch.setattr(os, "replace", clear_first)
    folder_lake.stage("operations", DAY, "1.json", b"[1]")
    assert len(cleared) == 1
    assert folder_lake.staged("operations", DAY, newer_than=0) == {"1.json": b"[1]"}


def test_nothing_staged_is_nothing(place: Place, lake: Lake) -> None:
    assert lake.staged("operations", DAY, newer_than=LONG_AGO) == {}
    lake.unstage("operations", DAY)
    assert place.names() == set()


def test_unstaging_leaves_no_folder(folder_lake: Lake) -> None:
    lake = folder_lake
    lake.stage("operations", DAY, "101", b"x")
    lake.unstage("operations", DAY)
    assert not (lake.root / "_staging" / "operations" / DAY).exists()


def test_receipts_wait_for_their_shift_date(lake: Lake) -> None:
    assert lake.waiting(DAY) == {}
    lake.wait_for(DAY, 101, 1)
    lake.wait_for(DAY, 102, 2)
    lake.wait_for(DAY, 101, 1)
    lake.wait_for(DAY, -5, 1)  # nothing says that ids are positive
    lake.wait_for(OTHER_DAY, 101, 1)
    assert lake.waiting(DAY) == {101: 1, 102: 2, -5: 1}
    assert lake.waiting(OTHER_DAY) == {101: 1}


def test_a_receipt_waits_for_the_venue_that_was_noted_last(place: Place, lake: Lake) -> None:
    for venue_id in (1, 2, 1):
        lake.wait_for(DAY, 101, venue_id)
        lake.wait_for(DAY, 102, 5)
        assert lake.waiting(DAY) == {101: venue_id, 102: 5}
        assert place.names() == {f"_waiting/{DAY}/101.{venue_id}", f"_waiting/{DAY}/102.5"}


def test_a_note_is_no_other_receipts_whose_id_begins_alike(lake: Lake) -> None:
    for receipt_id in (101, 10, 1):
        lake.wait_for(DAY, receipt_id, 1)
    assert lake.waiting(DAY) == {101: 1, 10: 1, 1: 1}


def test_notes_that_a_crash_left_beside_each_other_give_way_together(place: Place, lake: Lake) -> None:
    for venue_id in (1, 2):
        lake.store.write(f"_waiting/{DAY}/101.{venue_id}", b"")
    lake.wait_for(DAY, 101, 3)
    assert place.names() == {f"_waiting/{DAY}/101.3"}


def test_a_note_of_another_venue_stays_until_the_new_one_is_written(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.wait_for(DAY, 101, 1)

    def fail(*_: object, **__: object) -> None:
        raise LakeError("full")

    monkeypatch.setattr(lake.store, "write", fail)
    with pytest.raises(LakeError, match="full"):
        lake.wait_for(DAY, 101, 2)
    assert lake.waiting(DAY) == {101: 1}


def test_settled_receipts_stop_waiting(lake: Lake) -> None:
    for receipt_id in (101, 102, 103):
        lake.wait_for(DAY, receipt_id, 1)
    lake.stop_waiting(DAY, [(101, 1), (102, 2), (103, 1), (999, 1)])
    assert lake.waiting(DAY) == {102: 1}
    lake.stop_waiting(DAY, [(102, 1)])
    assert lake.waiting(DAY) == {}
    lake.stop_waiting(OTHER_DAY, [(102, 1)])


def test_a_half_written_note_does_not_wait(folder_lake: Lake) -> None:
    lake = folder_lake
    lake.wait_for(DAY, 101, 1)
    (lake.root / "_waiting" / DAY / ".102.1.0123456789abcdef").write_bytes(b"")
    assert lake.waiting(DAY) == {101: 1}
    lake.stop_waiting(DAY, [(101, 1), (102, 1)])
    assert lake.waiting(DAY) == {}


def test_none_of_it_is_a_table(place: Place, lake: Lake) -> None:
    lake.stage("operations", DAY, "101", b"x")
    lake.wait_for(DAY, 101, 1)
    lake.mark(DAY, "run")
    assert {name.partition("/")[0] for name in place.names()} == {"_staging", "_waiting", "_changed"}
    assert [name for name in place.names() if name.endswith(".parquet")] == []
