"""A venue that is added later: shift dates made before show as incomplete, and are made again for it."""

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from clopos_assets.assembly import build_definitions
from clopos_assets.ingest.venues import NOTE, VENUES_CHECK, dates_without, venue_notes
from clopos_assets.lake import Lake, LakeError
from clopos_assets.settings import Settings
from clopos_assets.tables import DAILY_COGS, RECEIPTS, TABLES, Table
from clopos_assets.tags import LATE_RECEIPTS
from tests.ingest.shop import Shop, days_from, open_shop
from tests.late.conftest import Watched

DAYS = days_from("2026-01-17", 4)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Three venues that sell on the first three of four dates, of which the first two venues are read."""
    with open_shop(tmp_path, venues=3) as shop:
        for number in range(1, 10):
            shop.sell(number, DAYS[number % 3], venue_id=1 + number // 4)
        shop.venue_ids = (1, 2)
        yield shop


@pytest.fixture
def watched(tmp_path: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """All dates made for two venues, and the sensor knows these."""
    with dg.DagsterInstance.ephemeral(str(tmp_path)) as instance:
        for name, value in shop.sandbox.settings().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CLOPOS_LAKE", str(shop.lake.root))
        monkeypatch.setenv("CLOPOS_START_DATE", "2026-01-10")
        monkeypatch.setenv("CLOPOS_VENUE_IDS", "1,2")
        settings = Settings.read()
        watched = Watched(shop, settings, build_definitions(settings), instance)
        assert watched.run(DAYS[0], DAYS[-1]).success
        watched.tick()
        assert (watched.asked, watched.events) == ([], [])
        yield watched


def read_all(watched: Watched, monkeypatch: pytest.MonkeyPatch, venues: str = "all") -> None:
    """From now on these venues are read."""
    monkeypatch.setenv("CLOPOS_VENUE_IDS", venues)
    watched.settings = Settings.read()
    watched.definitions = build_definitions(watched.settings)


def lacking(lake: Lake, venue_ids: list[int]) -> dict[str, list[int]]:
    return dates_without(lake, venue_ids, venue_notes(lake))


def noted(shop: Shop, shift_date: str) -> object:
    return json.loads(shop.lake.notes(RECEIPTS, shift_date).get(NOTE, "null"))


def sold(shop: Shop, shift_date: str) -> list[int]:
    rows = shop.lake.read(DAILY_COGS, shift_date, ["venue_id"])
    assert rows is not None
    return sorted(rows.column(0).to_pylist())


def check_of(watched: Watched, shift_date: str) -> dg.AssetCheckEvaluation:
    """How the check went last, as the UI has it."""
    key = dg.AssetCheckKey(dg.AssetKey(RECEIPTS.name), VENUES_CHECK)
    records = watched.instance.event_log_storage.get_asset_check_execution_history(key, limit=100)
    for record in records:
        event = record.event
        if event is not None and event.dagster_event is not None:
            evaluation = event.dagster_event.asset_check_evaluation_data
            if evaluation.partition == shift_date:
                return dg.AssetCheckEvaluation(
                    asset_key=evaluation.asset_key,
                    check_name=evaluation.check_name,
                    passed=evaluation.passed,
                    metadata=evaluation.metadata,
                    partition=evaluation.partition,
                )
    raise AssertionError(f"nothing was said of {shift_date}")


def test_dates_made_before_a_venue_was_added_show_it_as_missing_until_they_are_made_for_it(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = watched.shop
    assert all(check_of(watched, day).passed for day in DAYS)
    read_all(watched, monkeypatch)
    watched.tick()
    for event in watched.events:
        watched.instance.report_runless_asset_event(event)
    for day in DAYS:
        seen = check_of(watched, day)
        assert not seen.passed
        assert seen.metadata["missing_venues"].value == "3"
    assert "added venue: 3" in watched.asked[0].tags[LATE_RECEIPTS]
    # Those without a receipt of the venue too: nobody else says that there is none.
    assert watched.asked_for == [f"{DAYS[0]}...{DAYS[-1]}"]
    assert watched.run_asked() == [True]
    for day in DAYS:
        assert check_of(watched, day).passed
        assert noted(shop, day) == [1, 2, 3]
    assert 3 in sold(shop, DAYS[0])
    assert lacking(shop.lake, [1, 2, 3]) == {}
    watched.tick()
    assert (watched.asked, watched.events) == ([], [])


def test_the_tables_say_for_which_venues_they_were_made(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    read_all(watched, monkeypatch)
    assert watched.run(DAYS[1]).success
    files = f"{watched.shop.lake.root}/receipts/*/*.parquet"
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select regexp_extract(file_name, 'shift_date=([0-9-]+)', 1) as shift_date, decode(value) as venues"
            " from parquet_kv_metadata($files) where decode(key) = 'clopos_assets.venues' order by shift_date",
            {"files": files},
        ).fetchall()
    assert rows == [(DAYS[0], "[1,2]"), (DAYS[1], "[1,2,3]"), (DAYS[2], "[1,2]"), (DAYS[3], "[1,2]")]
    metadata = watched.materializations("receipts")[DAYS[1]][-1].metadata
    assert metadata["venues"].value == "1, 2, 3"


def test_a_venue_that_is_left_out_for_a_while_is_missing_where_it_was_left_out(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_all(watched, monkeypatch, "1")
    watched.shop.sell(20, "2026-01-21", venue_id=2)
    assert watched.run("2026-01-21").success
    watched.tick()
    assert watched.asked == []
    assert noted(watched.shop, DAYS[0]) == [1, 2]
    read_all(watched, monkeypatch, "1,2")
    watched.tick()
    assert [event.partition for event in watched.events] == ["2026-01-21"]
    assert watched.asked_for == ["2026-01-21"]


def test_a_date_that_gains_nothing_is_noted_once_and_not_rewritten_again(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_all(watched, monkeypatch)
    assert watched.run(DAYS[3]).success
    before = {name: watched.shop.lake.stamp(table, DAYS[3]) for name, table in TABLES.items()}
    assert watched.run(DAYS[3]).success
    after = {name: watched.shop.lake.stamp(table, DAYS[3]) for name, table in TABLES.items()}
    assert before == after


def test_without_the_note_listed_venues_and_receipts_tell(watched: Watched) -> None:
    lake = watched.shop.lake
    rows = lake.read(RECEIPTS, DAYS[0])
    assert rows is not None
    known = {name: text for name, text in lake.notes(RECEIPTS, DAYS[0]).items() if name != NOTE}
    lake.replace(RECEIPTS, DAYS[0], rows, known)
    assert lacking(lake, [1, 2, 3]) == {day: [3] for day in DAYS}
    lake.replace(RECEIPTS, DAYS[0], rows, {})
    assert lacking(lake, [1, 2, 3])[DAYS[0]] == [3]
    lake.replace(RECEIPTS, DAYS[0], rows.slice(0, 0), {})
    assert lacking(lake, [1, 2])[DAYS[0]] == [1, 2]


def test_a_damaged_date_is_not_among_them(watched: Watched) -> None:
    watched.shop.lake.path(RECEIPTS, DAYS[0]).write_bytes(b"PAR1 no more")
    assert lacking(watched.shop.lake, [3]) == {day: [3] for day in DAYS[1:]}


def test_a_date_that_could_not_be_read_once_is_looked_at_again(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overloaded(lake: Lake, table: Table, shift_date: str) -> dict[str, str]:
        if shift_date == DAYS[1]:
            raise LakeError("the lake s3://bucket can't be read (the object store is overloaded or fails)")
        return notes(lake, table, shift_date)

    read_all(watched, monkeypatch)
    notes = Lake.notes
    with monkeypatch.context() as once:
        once.setattr(Lake, "notes", overloaded)
        assert "the object store is overloaded" in watched.tick()
        assert watched.asked == []
    watched.tick()
    assert watched.asked_for == [f"{DAYS[0]}...{DAYS[-1]}"]


@pytest.mark.parametrize("is_tried", [False, True])
def test_a_date_made_since_by_a_run_that_did_not_know_a_venue_is_asked_for(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, *, is_tried: bool
) -> None:
    watched.shop.sell(30, "2026-01-22", venue_id=2)
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("CLOPOS_VENUE_IDS", "1")
        known, watched.definitions = watched.definitions, build_definitions(Settings.read())
        assert watched.run("2026-01-22").success
    watched.definitions = known
    if is_tried:  # as in the UI, or by a daemon that died: the sensor looks, and its cursor is kept by nobody
        cursor = watched.cursor
        watched.tick()
        watched.cursor = cursor
    watched.tick()
    assert [(event.partition, event.metadata["missing_venues"].value) for event in watched.events] == [
        ("2026-01-22", "2")
    ]
    assert watched.asked_for == ["2026-01-22"]
    assert watched.run_asked() == [True]
    assert sold(watched.shop, "2026-01-22") == [2]
    watched.tick()
    assert (watched.asked, watched.events) == ([], [])


def test_a_date_of_the_tokens_own_venue_lacks_the_others_whoever_waited_there(tmp_path: Path) -> None:
    with open_shop(tmp_path, venues=2) as shop:
        shop.sell(1, DAYS[0])
        shop.sell(2, DAYS[0], venue_id=2)
        shop.sell(3, DAYS[0], venue_id=2, created_at="2026-01-02 12:00:00")
        shop.lake.wait_for(DAYS[0], 3, 2)  # noted while all venues were read
        shop.venue_ids = None
        made, _ = shop.make(DAYS[0])
        assert not made.bad
        assert shop.asked() == {"list": 1, "operations": 1}
        assert lacking(shop.lake, [1, 2]) == {DAYS[0]: [2]}
        shop.venue_ids = "all"
        shop.make(DAYS[0])
        assert shop.ids(RECEIPTS, DAYS[0]) == [1, 2, 3]
        assert lacking(shop.lake, [1, 2]) == {}
