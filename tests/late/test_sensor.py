"""The sensor in Dagster, over HTTP: what its ticks ask for, what they say, and what comes of the runs."""

from datetime import date, timedelta

import dagster as dg
import pytest

from clopos_assets.assembly import build_definitions
from clopos_assets.automation import JOB
from clopos_assets.lake import Lake
from clopos_assets.late.deciding import Decision
from clopos_assets.late.look import Look
from clopos_assets.late.sighting import Sighted
from clopos_assets.late.state import Reading, State, Unread
from clopos_assets.late_sensor import SENSOR, describe, run_state
from clopos_assets.origin import NOTE, sign
from clopos_assets.settings import Settings
from clopos_assets.tables import FINDING_HISTORY, RAW, RECEIPTS
from tests.late.conftest import Watched


def test_it_runs_by_default_at_the_interval_of_the_settings(watched: Watched) -> None:
    sensor = build_definitions(Settings.read(poll_seconds=45)).resolve_sensor_def(SENSOR)
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    assert sensor.minimum_interval_seconds == 45
    assert [target.job_name for target in sensor.targets] == ["shift_date_job"]


def test_a_tick_after_nothing_has_changed_says_up_to_when_it_read(watched: Watched) -> None:
    read = "1 page read, {}; nothing changed since 2026-01-20 12:30:00 that the lake does not have"
    assert watched.tick() == read.format("3 receipts seen")
    assert watched.tick() == read.format("1 receipt seen")
    assert watched.asked == []


def test_a_damaged_note_of_one_date_costs_no_other(watched: Watched) -> None:
    path = watched.shop.lake.path(RECEIPTS, "2026-01-19")
    body = bytearray(path.read_bytes())
    body[body.rindex(b"clopos_assets.versions") + 30] ^= 0x80
    path.write_bytes(body)
    watched.tick()
    watched.shop.sell(4, "2026-01-20", closed_at="2026-01-22 03:10:00", updated_at="2026-01-22 03:10:00")
    watched.tick()
    assert "2026-01-20" in watched.asked_for[0]
    assert watched.run_asked() == [False]
    assert watched.shop.ids(RECEIPTS, "2026-01-20") == [3, 4]
    path.unlink()
    assert watched.run("2026-01-19", "2026-01-20").success
    assert watched.shop.ids(RECEIPTS, "2026-01-19") == [1, 2]


def test_the_lake_of_another_brand_is_left_alone(watched: Watched) -> None:
    lake = watched.shop.lake
    lake.discard(NOTE)
    sign(lake, "another")
    watched.shop.sell(4, "2026-01-18", closed_at="2026-01-22 03:10:00", updated_at="2026-01-22 03:10:00")
    said = watched.tick()
    assert said == (
        f"the lake {lake.root} holds the brand 'another', and CLOPOS_BRAND is {watched.settings.brand!r}: set "
        "CLOPOS_LAKE to a lake of its own for each brand"
    )
    assert (watched.asked, watched.events, list((lake.root / "_waiting").rglob("*"))) == ([], [], [])
    assert watched.shop.asked() == {}


def test_a_receipt_that_closes_late_makes_its_shift_date_again(watched: Watched) -> None:
    watched.tick()
    watched.shop.sell(4, "2026-01-19", closed_at="2026-01-22 03:10:00", updated_at="2026-01-22 03:10:00")
    assert watched.tick() == ""
    (request,) = watched.asked
    assert (request.partition_key, request.tags["clopos/late_receipts"]) == ("2026-01-19", "1 receipt: 4")
    assert watched.run_asked() == [True]
    assert watched.shop.stands(4) == {
        table: ["2026-01-19"] for table in ("receipts", "receipt_products", "stock_operations")
    }
    assert "nothing changed since" in watched.tick()
    assert watched.remembered()["asked"] == {}


def test_an_edit_and_a_move_are_asked_for_in_one_range(watched: Watched) -> None:
    watched.tick()
    watched.shop.world.move_receipt(1, date(2026, 1, 20))
    watched.tick()
    assert watched.asked_for == ["2026-01-19...2026-01-20"]
    assert watched.run_asked() == [True]
    assert watched.shop.stands(1)["stock_operations"] == ["2026-01-20"]
    watched.tick()
    assert watched.asked == []
    watched.shop.world.move_receipt(1, date(2026, 1, 19))
    watched.shop.world.update_receipt(1, updated_at="2026-01-25 12:00:01")
    watched.tick()
    assert watched.run_asked() == [True]
    # There and back, and there again: each time is another.
    watched.shop.world.move_receipt(1, date(2026, 1, 20))
    watched.shop.world.update_receipt(1, updated_at="2026-01-25 12:00:02")
    watched.tick()
    assert watched.run_asked() == [True]
    assert watched.shop.stands(1)["receipts"] == ["2026-01-20"]


def test_receipts_with_the_time_at_which_it_stopped_are_seen(watched: Watched) -> None:
    watched.tick()
    watched.shop.sell(4, "2026-01-20", updated_at="2026-01-20 12:30:00")
    watched.tick()
    assert watched.asked_for == ["2026-01-20"]


def test_an_empty_lake_asks_for_nothing_and_keeps_no_cursor(watched: Watched) -> None:
    watched.definitions = build_definitions(Settings.read(lake=watched.shop.lake.root / "empty"))
    assert watched.tick().startswith("nothing is materialized: first fills are backfills")
    assert watched.cursor is None
    assert watched.shop.asked() == {}


def test_no_credentials(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLOPOS_BRAND")
    watched.definitions = build_definitions(Settings.read())
    assert watched.tick() == "no credentials: CLOPOS_BRAND not set"
    assert watched.shop.asked() == {}


def test_an_api_that_says_no_moves_nothing(watched: Watched) -> None:
    watched.tick()
    cursor = watched.cursor
    watched.shop.sell(4, "2026-01-19", updated_at="2026-01-22 03:10:00")
    watched.shop.answer("/receipts", '{"success": false, "error": "Client is disabled", "message": ""}', 401)
    said = watched.tick()
    assert said.startswith("nothing could be read, the next tick tries again: GET /v2/receipts (last changed, page 1")
    assert "Client is disabled" in said
    assert "\n" not in said
    assert watched.cursor == cursor
    watched.shop.answer_truly()
    watched.tick()
    assert watched.asked_for == ["2026-01-19"]


def test_an_api_that_is_down_moves_nothing_and_does_not_hold_the_tick(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.tick()
    before = watched.remembered()
    monkeypatch.setattr("clopos_assets.late_sensor.SECONDS_PER_TICK", 0.5)
    watched.shop.answer("/receipts", "<html>", 502)
    said = watched.tick()
    assert "no page came within 0.5 s; the last wait: " in said
    assert "502" in said
    assert watched.remembered() | {"is_starved": False} == before


def test_while_more_is_to_be_read_nobody_says_that_nothing_changed() -> None:
    reading = Reading("2026-01-20 12:30:00", Unread(0, 0, "2026-01-20 12:30:00"))
    seen = Look(State(read={"1": reading}), Decision(), Sighted(), pages=1)
    assert describe(seen) == "1 page read, 0 receipts seen; more is to be read on the next tick"


def test_a_burst_is_read_over_several_ticks_and_nothing_is_lost(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.tick()
    for number in range(100, 1100):
        shift_date = "2026-01-19" if number % 2 else "2026-01-20"
        watched.shop.sell(number, shift_date, status=1, updated_at=f"2026-01-21 12:{number // 60:02}:{number % 60:02}")
    monkeypatch.setattr("clopos_assets.late_sensor.PAGES_PER_TICK", 3)
    watched.tick()
    assert watched.asked_for == ["2026-01-19...2026-01-20"]
    assert watched.remembered()["read"]["1"]["unread"] is not None
    assert "more is to be read on the next tick" in watched.tick()
    seen = watched.remembered()
    for _ in range(8):
        watched.tick()
        seen = watched.remembered()
    assert seen["read"]["1"]["unread"] is None
    held = {name for versions in seen["kept"].values() for name in versions}
    held |= {name for asked in seen["asked"].values() for name in asked["receipts"]}
    assert held == {str(number) for number in range(100, 1100)}


def test_a_partition_that_is_being_made_right_now_is_looked_at_again(watched: Watched) -> None:
    watched.tick()
    watched.shop.sell(4, "2026-01-19", updated_at="2026-01-22 03:10:00")
    with Lake(watched.shop.lake.root).locked(["2026-01-19"], seconds=1):
        assert "2026-01-19 being made, or asked for and not ended yet (1 receipt: 4)" in watched.tick()
    assert watched.asked == []
    watched.tick()
    assert watched.asked_for == ["2026-01-19"]


def test_a_shift_date_being_made_for_the_first_time(watched: Watched) -> None:
    watched.tick()
    watched.shop.sell(4, "2026-01-21", updated_at="2026-01-22 03:10:00")
    with Lake(watched.shop.lake.root).locked(["2026-01-21"], seconds=1):
        assert "2026-01-21 being made" in watched.tick()
    watched.shop.make("2026-01-21")
    watched.shop.world.update_receipt(4, total=5)
    assert watched.tick() == ""
    assert watched.asked_for == ["2026-01-21"]


@pytest.mark.parametrize(
    ("shift_date", "why"),
    [
        ("2026-01-21", "not made yet"),
        ("2026-01-09", "no partition yet"),
        ("9999-12-31", "no partition yet"),
        ("0001-01-01", "no partition yet"),
        (date.today().isoformat(), "no partition yet"),
    ],
)
def test_shift_dates_that_are_not_made_are_not_asked_for(watched: Watched, shift_date: str, why: str) -> None:
    watched.tick()
    watched.shop.sell(4, shift_date, updated_at="2026-01-22 03:10:00")
    assert f"{shift_date} {why}" in watched.tick()
    assert watched.asked == []
    assert watched.remembered()["kept"] == {}


def test_a_receipt_created_outside_the_window_enters_all_the_same(watched: Watched) -> None:
    watched.tick()
    watched.shop.sell(4, "2026-01-19", created_at="2026-01-02 10:00:00", updated_at="2026-01-22 03:10:00")
    watched.tick()
    assert watched.asked_for == ["2026-01-19"]
    assert watched.run_asked() == [True]
    assert watched.shop.stands(4)["stock_operations"] == ["2026-01-19"]
    watched.tick()
    assert watched.asked == []
    assert watched.shop.lake.waiting("2026-01-19") == {}


def test_a_receipt_created_outside_the_window_enters_again_after_its_date_was_removed(watched: Watched) -> None:
    watched.tick()
    watched.shop.sell(4, "2026-01-19", created_at="2026-01-02 10:00:00", updated_at="2026-01-22 03:10:00")
    watched.tick()
    assert watched.run_asked() == [True]
    watched.tick()
    for table in RAW:  # with any of them left, its ids are asked for when the date is made
        watched.shop.lake.path(table, "2026-01-19").unlink()
    assert watched.run("2026-01-19").success
    assert watched.shop.stands(4)["receipts"] == []
    watched.tick()
    assert watched.run_asked() == [True]
    assert watched.shop.stands(4)["receipts"] == ["2026-01-19"]


def test_a_receipt_created_outside_the_window_of_a_date_not_made_waits_for_it(watched: Watched) -> None:
    watched.tick()
    watched.shop.sell(4, "2026-01-21", created_at="2026-01-02 10:00:00", updated_at="2026-01-22 03:10:00")
    watched.tick()
    assert watched.asked == []
    watched.shop.make("2026-01-21")
    assert watched.shop.stands(4)["receipts"] == ["2026-01-21"]


def test_a_run_that_fails_is_asked_for_again_later_and_later(watched: Watched) -> None:
    watched.tick()
    watched.shop.sell(4, "2026-01-19", updated_at="2026-01-22 03:10:00")
    watched.tick()
    watched.shop.answer("/receipts", '{"success": false, "error": "Client is disabled", "message": ""}', 401)
    assert watched.run_asked() == [False]
    watched.shop.answer_truly()
    keys = {watched.asked[0].run_key}
    assert "2026-01-19 not made by the run that was asked for: to be asked for again (1 receipt: 4)" in watched.tick()
    for wait in (300, 600, 1200):
        watched.later += timedelta(seconds=wait - 60)
        watched.tick()
        assert watched.asked == []
        watched.later += timedelta(seconds=61)
        watched.tick()
        assert watched.asked_for == ["2026-01-19"]
        keys.add(watched.asked[0].run_key)
        if wait < 1200:
            watched.shop.answer("/receipts", '{"success": false, "error": "Client is disabled", "message": ""}', 401)
            assert watched.run_asked() == [False]
            watched.shop.answer_truly()
    assert len(keys) == 4
    assert watched.run_asked() == [True]
    watched.tick()
    assert watched.remembered()["asked"] == {}


def test_a_request_whose_run_never_began_is_made_again(watched: Watched) -> None:
    watched.tick()
    watched.shop.sell(4, "2026-01-19", updated_at="2026-01-22 03:10:00")
    watched.tick()
    watched.later += timedelta(seconds=301)
    watched.tick()
    assert watched.asked_for == ["2026-01-19"]


def test_a_receipt_that_cannot_be_read_fails_its_shift_date_visibly(watched: Watched) -> None:
    watched.tick()
    watched.shop.world.update_receipt(1, total="many")
    watched.tick()
    assert watched.asked_for == ["2026-01-19"]
    assert watched.run_asked() == [False]
    watched.later += timedelta(seconds=301)
    watched.shop.world.update_receipt(1, total=5, updated_at="2026-01-25 12:00:01")
    watched.tick()
    assert watched.run_asked() == [True]
    watched.later += timedelta(seconds=601)
    watched.tick()
    assert watched.asked == []


def test_a_tick_that_got_no_further_than_the_list_of_venues_does_not_say_that_nothing_changed() -> None:
    seen = Look(State(is_starved=True), Decision(), Sighted(), 0, starved="no page came within 30 s")
    assert (
        describe(seen)
        == "only the list of venues could be read, the next tick goes without it: no page came within 30 s"
    )


def test_two_dates_apart_are_two_runs(watched: Watched) -> None:
    watched.shop.make("2026-01-17")
    watched.tick()
    watched.shop.sell(4, "2026-01-17", updated_at="2026-01-22 03:10:00")
    watched.shop.sell(5, "2026-01-19", updated_at="2026-01-22 03:10:00")
    watched.tick()
    assert watched.asked_for == ["2026-01-17", "2026-01-19"]
    assert len({request.run_key for request in watched.asked}) == 2


def test_it_shares_the_quota_and_the_token_with_the_assets(watched: Watched) -> None:
    watched.tick()
    watched.shop.sell(4, "2026-01-19", updated_at="2026-01-22 03:10:00")
    watched.tick()
    watched.run_asked()
    assert watched.shop.sandbox.requests.count("POST", "/v2/auth") == 0


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        ([], "none"),
        (["NOT_STARTED"], "running"),
        (["STARTED"], "running"),
        (["FAILURE", "STARTING"], "running"),
        (["FAILURE"], "failed"),
        (["CANCELED"], "failed"),
        (["CANCELING"], "running"),
        (["FAILURE", "SUCCESS"], "succeeded"),
    ],
)
def test_how_the_runs_of_a_key_stand(watched: Watched, statuses: list[str], state: str) -> None:
    for status in statuses:
        tags = {"dagster/run_key": "key"}
        watched.instance.add_run(dg.DagsterRun(JOB, tags=tags, status=dg.DagsterRunStatus(status)))
    watched.instance.add_run(dg.DagsterRun(JOB, tags={"dagster/run_key": "other"}, status=dg.DagsterRunStatus.SUCCESS))
    assert run_state(watched.instance, "key") == state


def test_dates_that_dead_runs_left_behind_are_asked_for(watched: Watched) -> None:
    for run_id, status in (("bad", "FAILURE"), ("good", "STARTED")):
        watched.instance.add_run(dg.DagsterRun(JOB, run_id=run_id, status=dg.DagsterRunStatus(status)))
        watched.shop.lake.mark("2026-01-19", run_id)
    watched.shop.lake.mark("2026-01-20", "good")
    with watched.shop.lake.locked(["run good"], seconds=0):
        watched.tick()
    assert watched.asked_for == ["2026-01-19"]
    assert watched.asked[0].tags["clopos/late_receipts"] == "1 unfinished run: bad"


@pytest.mark.parametrize("held", ["run good", "run other"])
def test_marks_that_a_copy_of_the_lake_brings_back_are_followed(watched: Watched, held: str) -> None:
    """Of a run that took them away and succeeded: the tables of the copy are those of before its end."""
    watched.instance.add_run(dg.DagsterRun(JOB, run_id="good", status=dg.DagsterRunStatus.SUCCESS))
    watched.shop.lake.mark("2026-01-20", "good")
    with watched.shop.lake.locked([held], seconds=0):
        watched.tick()
    assert watched.asked_for == ["2026-01-20"]


def test_a_first_fill_that_was_cancelled_is_not_begun_again(watched: Watched) -> None:
    assert watched.run("2026-01-19", "2026-01-20").success
    watched.instance.add_run(dg.DagsterRun(JOB, run_id="stopped", status=dg.DagsterRunStatus.CANCELED))
    for shift_date in ("2026-01-19", "2026-01-20"):
        watched.shop.lake.mark(shift_date, "stopped")
    history = watched.shop.lake.path(FINDING_HISTORY, "2026-01-20")
    assert history.exists()
    history.unlink()
    watched.tick()
    assert watched.asked_for == ["2026-01-19"]


def test_what_rests_on_a_first_fill_that_was_cancelled_is_brought_up_to_date(watched: Watched) -> None:
    assert watched.run("2026-01-19", "2026-01-20").success
    watched.instance.add_run(dg.DagsterRun(JOB, run_id="stopped", status=dg.DagsterRunStatus.CANCELED))
    watched.shop.lake.mark("2026-01-19", "stopped")
    watched.shop.lake.path(FINDING_HISTORY, "2026-01-19").unlink()
    watched.tick()
    assert watched.asked_for == ["2026-01-19"]


def test_long_lists_are_cut_short(watched: Watched) -> None:
    watched.tick()
    for number in range(100, 130):
        watched.shop.sell(number, "2026-01-19", updated_at="2026-01-22 03:10:00")
    watched.tick()
    shown = ", ".join(str(number) for number in range(100, 110))
    assert watched.asked[0].tags["clopos/late_receipts"] == f"30 receipts: {shown}, …"
