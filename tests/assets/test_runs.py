"""What a run does in Dagster: one event per table and shift date, ranges in one run, and bad dates named."""

import json
import re
from datetime import date
from decimal import Decimal

import dagster as dg
import pytest

from clopos_assets.access import Access
from clopos_assets.assets.checks import judge
from clopos_assets.assets.making import describe_failures
from clopos_assets.assets.raw_checks import UNKNOWN_FIELDS_CHECK
from clopos_assets.findings import CHECKS
from clopos_assets.ingest.venues import VENUES_CHECK
from clopos_assets.lake import Lake, LakeError
from clopos_assets.tables import TABLES, ContractError, Table
from tests.assets.conftest import Project, failure_of

pytestmark = pytest.mark.usefixtures("memory_with_figures")

DAYS = ["2026-01-19", "2026-01-20"]


@pytest.mark.parametrize("days", [DAYS[:1], DAYS])
def test_one_event_per_table_and_shift_date(project: Project, days: list[str]) -> None:
    assert project.run(days[0], days[-1] if len(days) > 1 else None).success
    for name, table in TABLES.items():
        events = project.materializations(name)
        assert {day: len(recorded) for day, recorded in events.items()} == dict.fromkeys(days, 1)
        for day in days:
            rows = project.shop.lake.read(table, day)
            assert rows is not None
            assert events[day][0].metadata["dagster/partition_row_count"].value == rows.num_rows


def test_events_tell_of_requests_and_amounts(project: Project) -> None:
    project.run(*DAYS)
    receipts, operations, daily = (
        project.materializations(table)["2026-01-19"][0].metadata
        for table in ("receipts", "stock_operations", "daily_cogs")
    )
    assert (receipts["requests"].value, receipts["receipts_added"].value) == (1, 2)
    assert (operations["requests"].value, operations["requests_spared"].value) == (2, 0)
    assert operations["waited_seconds"].value == 0
    assert (daily["net_sales"].value, daily["cogs"].value) == (25.0, 1.28)
    assert "| 1 | 25.00 | 1.28 | 23.72 | 5.12 |" in str(daily["venues"].value)
    project.run(*DAYS)
    again = project.materializations("stock_operations")["2026-01-19"][1].metadata
    assert (again["requests"].value, again["requests_spared"].value) == (0, 2)


def test_events_tell_what_changed_after_the_fact(project: Project) -> None:
    shop = project.shop
    shop.sell(4, "2026-01-19", status=1, closed_at=None)
    shop.sell(5, "2026-01-19")
    project.run(*DAYS)
    first = project.materializations("receipts")["2026-01-19"][0].metadata
    assert "changes" not in first
    shop.world.update_receipt(4, status=2, closed_at="2026-01-20 03:10:00")  # closed late
    shop.deduct(4)
    shop.world.move_receipt(1, date(2026, 1, 20))
    shop.world.move_receipt(3, date(2026, 1, 19))
    shop.world.delete_receipt(5)
    shop.sell(6, "2026-01-19")
    assert project.run("2026-01-19").success
    told = project.materializations("receipts")["2026-01-19"][-1].metadata
    assert [told[f"receipts_{what}"].value for what in ("added", "changed", "removed", "moved_here", "moved_away")] == [
        1,
        1,
        1,
        1,
        1,
    ]
    assert str(told["changes"].value).splitlines()[2:] == [
        "| 1 | moved to 2026-01-20 | closed, 12.50 |  |",
        "| 3 | moved here from 2026-01-20 |  | closed, 12.50 |",
        "| 4 | changed | open, 12.50 | closed, 12.50 |",
        "| 5 | removed | closed, 12.50 |  |",
        "| 6 | added |  | closed, 12.50 |",
    ]
    cost = project.materializations("daily_cogs")["2026-01-19"][-1].metadata
    assert [cost[name].value for name in ("cogs_before", "cogs", "cogs_change")] == [1.92, 2.56, 0.64]


def test_requests_of_a_range_sum_to_what_was_sent(project: Project) -> None:
    project.run("2026-01-15", "2026-01-22")
    counted = sum(
        int(str(event.metadata["requests"].value))
        for table in ("receipts", "stock_operations")
        for events in project.materializations(table).values()
        for event in events
    )
    # The brand's venues are asked for once, which counts as one more.
    assert counted == sum(project.shop.asked().values()) + 1


def test_refresh_all_by_run_config(project: Project) -> None:
    project.run(*DAYS)
    project.shop.deduct(1, total_cost=Decimal("1.64"))
    assert project.run(*DAYS).success
    assert project.shop.asked() == {"list": 1}
    config = {"ops": {"stock_operations": {"config": {"refresh": "all"}}}}
    assert project.run(*DAYS, run_config=config).success
    assert project.shop.asked() == {"list": 1, "operations": 3}
    assert cogs(project, "2026-01-19") == [Decimal("2.280000")]


def test_a_bad_shift_date_does_not_cost_the_others(project: Project) -> None:
    project.shop.world.update_receipt(1, total="many")
    result = project.run("2026-01-18", "2026-01-20")
    assert not result.success
    reason = failure_of(result)
    assert reason.startswith("1 of 3 shift dates not made. 2026-01-19: receipt 1: total: 'many' is not a number")
    assert "\n" not in reason
    for name in TABLES:
        assert sorted(project.materializations(name)) == ["2026-01-18", "2026-01-20"], name
    assert cogs(project, "2026-01-20") == [Decimal("0.640000")]


def test_a_receipt_whose_operations_fail_costs_its_date_from_there_on(project: Project) -> None:
    project.shop.answer("/receipts/1/stock-operations", json.dumps({"data": [{"id": 1}]}))
    result = project.run(*DAYS)
    assert "1 of 2 shift dates not made. 2026-01-19: stock operations of 1 of 2 closed receipts" in failure_of(result)
    assert sorted(project.materializations("receipts")) == DAYS
    for name in ("stock_operations", "line_cogs", "daily_cogs", "product_cogs", "ingredient_usage"):
        assert list(project.materializations(name)) == ["2026-01-20"], name
    project.shop.answer_truly()
    assert project.run(*DAYS).success
    assert project.shop.asked() == {"list": 1, "operations": 1}


def test_only_what_was_selected_is_carried_on(project: Project) -> None:
    project.shop.world.update_receipt(1, total="many")
    job = project.definitions.resolve_job_def("shift_date_job").get_subset(op_selection=["receipts"])
    start, end = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
    job.execute_in_process(instance=project.instance, raise_on_error=False, tags={start: DAYS[0], end: DAYS[1]})
    assert list(project.materializations("receipts")) == ["2026-01-20"]
    assert not project.materializations("stock_operations")


@pytest.mark.parametrize("made_again", DAYS)
def test_a_move_across_the_edge_of_a_run_is_recorded_for_both_dates(project: Project, made_again: str) -> None:
    assert project.run(*DAYS).success
    project.shop.world.move_receipt(1, date(2026, 1, 20))
    assert project.run(made_again).success
    # The date of the run is made again in every table, the other in those where it came out differently.
    other = next(day for day in DAYS if day != made_again)
    unchanged = set()
    for name in TABLES:
        events = {day: len(events) for day, events in project.materializations(name).items()}
        assert events[made_again] == 2
        unchanged |= {name} if events[other] == 1 else set()
    assert unchanged <= {"stock_gaps", "usage_variance", "variance_findings", "finding_history"}, unchanged
    assert cogs(project, "2026-01-19") == [Decimal("0.640000")]
    assert cogs(project, "2026-01-20") == [Decimal("1.280000")]


def test_unknown_fields_are_reported_by_a_check_of_their_date(project: Project) -> None:
    project.shop.world.update_receipt(1, mood="good")
    result = project.run(*DAYS)
    assert result.success
    found = {
        evaluation.partition: (evaluation.passed, evaluation.metadata.get("kept_in_extra"), evaluation.description)
        for evaluation in result.get_asset_check_evaluations()
        if (evaluation.asset_key.to_user_string(), evaluation.check_name) == ("receipts", UNKNOWN_FIELDS_CHECK)
    }
    assert found["2026-01-20"] == (True, None, None)
    passed, named, said = found["2026-01-19"]
    assert (passed, str(named)) == (False, "TextMetadataValue(text='mood')")
    assert said == "Clopos' documents do not name mood: kept in extra."
    # Of the whole range, it says on which date.
    assert found[None] == (False, named, "Clopos' documents do not name mood (2026-01-19): kept in extra.")


def test_a_name_from_an_answer_is_shown_as_it_is(project: Project) -> None:
    """As Markdown, the browser of whoever looks at it would fetch what it names."""
    name = "mood\n![](http://example.com/seen.png)"
    project.shop.world.update_receipt(1, **{name: "good", "status": 1})
    assert project.run("2026-01-19").success
    project.shop.world.update_receipt(1, status=2)
    assert project.run("2026-01-19").success
    shown = project.materializations("receipts")["2026-01-19"][-1].metadata
    assert isinstance(shown["unknown_fields"], dg.TextMetadataValue)
    assert shown["unknown_fields"].text == name
    assert isinstance(shown["changes"], dg.MarkdownMetadataValue)


def test_a_missing_credential_names_its_variable(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from clopos_assets.assembly import build_definitions
    from clopos_assets.settings import Settings

    monkeypatch.delenv("CLOPOS_BRAND")
    project.definitions = build_definitions(Settings.read())
    assert failure_of(project.run("2026-01-19")).startswith("CLOPOS_BRAND is not set")


def test_cost_tables_without_raw_ones_say_what_to_do(project: Project) -> None:
    result = project.run("2026-01-19", op_selection=["line_cogs"])
    assert "materialize it first" in failure_of(result)


def test_no_secret_in_any_event(project: Project) -> None:
    project.shop.answer("/auth", '{"success": false, "message": "no sandbox-only here"}', 401)
    result = project.run("2026-01-19")
    assert not result.success
    secret = project.shop.sandbox.credentials.client_secret
    assert secret == "sandbox-only"
    entries = [str(entry) for entry in project.instance.all_logs(result.run_id)]
    assert entries
    assert not [entry for entry in entries if secret in entry]


def test_a_full_disk_stops_with_one_line_and_keeps_what_was(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.run(*DAYS)
    before = project.shop.lake.read(TABLES["receipts"], "2026-01-19")
    project.shop.world.update_receipt(1, order_status="READY")
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", _no_space)
        reason = failure_of(project.run("2026-01-19"))
    assert "free some space" in reason
    assert "\n" not in reason
    assert project.shop.lake.read(TABLES["receipts"], "2026-01-19") == before
    assert project.run("2026-01-19").success


def _no_space(_: int) -> None:
    import errno

    raise OSError(errno.ENOSPC, "No space left on device")


def cogs(project: Project, shift_date: str) -> list[Decimal]:
    """Cost of goods of the shift date, per venue."""
    rows = Lake(project.settings.lake).read(TABLES["daily_cogs"], shift_date)
    assert rows is not None
    return list(rows.column("cogs").to_pylist())


def test_long_work_tells_how_far_it_is(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clopos_assets.line.raw.TALK_EVERY_SECONDS", 0.0)
    result = project.run(*DAYS)
    said = [entry.user_message for entry in project.instance.all_logs(result.run_id)]
    counts = [text.partition("; ")[0] for text in said if text.startswith("receipts asked for stock operations: ")]
    assert [re.sub(r"about \d+", "about n", text) for text in counts] == [
        f"receipts asked for stock operations: {done} of 3, about n s left" for done in (1, 2, 3)
    ]


def test_waits_are_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clopos_assets.line.raw.TALK_EVERY_SECONDS", 0.0)
    project.shop.answer("/receipts", "<html>", 502, times=1)
    result = project.run("2026-01-19")
    assert result.success
    said = [entry.user_message for entry in project.instance.all_logs(result.run_id)]
    assert [text for text in said if text.startswith("waiting ") and "502" in text]


@pytest.mark.parametrize("table", ["line_cogs", "product_cogs", "ingredient_usage"])
def test_a_cost_step_that_fails_leaves_one_event_per_table_and_date(
    project: Project, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    replace = Lake.replace

    def refuse(lake: Lake, of: Table, shift_date: str, rows: object, notes: dict[str, str]) -> None:
        if (of.name, shift_date) == (table, "2026-01-19"):
            raise ContractError(f"{table}: made up")
        replace(lake, of, shift_date, rows, notes)

    monkeypatch.setattr(Lake, "replace", refuse)
    result = project.run(*DAYS)
    assert f"2026-01-19: {table}: made up" in failure_of(result)
    for name in TABLES:
        events = project.materializations(name)
        assert len(events.get("2026-01-20", [])) == 1, name
        assert len(events.get("2026-01-19", [])) <= 1, name
    assert "2026-01-19" not in project.materializations(table)


@pytest.mark.parametrize("table", ["receipts", "receipt_products"])
def test_either_of_two_tables_made_together_can_be_selected(project: Project, table: str) -> None:
    result = dg.materialize(
        [asset for asset in project.definitions.assets or [] if isinstance(asset, dg.AssetsDefinition)],
        instance=project.instance,
        partition_key="2026-01-19",
        selection=[table],
    )
    assert result.success
    for name in ("receipts", "receipt_products"):
        assert {day: len(events) for day, events in project.materializations(name).items()} == {"2026-01-19": 1}
    assert not project.materializations("stock_operations")


def test_good_dates_are_recorded_before_what_is_made_from_them(project: Project) -> None:
    project.shop.world.update_receipt(1, total="many")
    result = project.run(*DAYS)
    recorded = [
        entry.dagster_event.asset_key.to_user_string()
        for entry in project.instance.all_logs(result.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        if entry.dagster_event is not None and entry.dagster_event.asset_key is not None
    ]
    assert sorted(recorded) == sorted(TABLES)
    for name, table in TABLES.items():
        assert all(recorded.index(of) < recorded.index(name) for of in table.inputs), name
    checked = [e for e in result.get_asset_check_evaluations() if e.partition == "2026-01-20"]
    of_fields = {e.asset_key.to_user_string() for e in checked if e.check_name == UNKNOWN_FIELDS_CHECK}
    assert of_fields == {"receipts", "receipt_products", "stock_operations"}
    assert {e.check_name for e in checked} == {UNKNOWN_FIELDS_CHECK, VENUES_CHECK, *(check.name for check in CHECKS)}


def test_a_lake_that_fails_while_good_dates_are_carried_on_is_told_in_the_same_line(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_lake: Lake, _shift_date: str, _owner: str) -> None:
        raise LakeError("the lake can't be written (no space): free some space, and run again")

    monkeypatch.setattr(Lake, "unmark", refuse)
    project.shop.world.update_receipt(1, total="many")
    reason = failure_of(project.run(*DAYS))
    assert reason.startswith("1 of 2 shift dates not made. 2026-01-19: receipt 1: total: ")
    assert reason.endswith(
        "; of the others not all tables could be made: the lake can't be written (no space): "
        "free some space, and run again"
    )
    assert "\n" not in reason


def test_a_range_that_ends_before_it_begins_is_no_success(project: Project) -> None:
    reason = failure_of(project.run(*reversed(DAYS)))
    assert reason == "the run's range holds no shift date, for it ends before it begins: name the earlier date first"


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (["2026-01-19"], "1 of 2 shift dates not made. "),
        (["2026-01-19", "2026-01-25"], "1 of 2 shift dates and 1 besides the 2 asked for not made. "),
        (["2026-01-25", "2026-01-26"], "2 besides the 2 asked for not made. "),
    ],
)
def test_dates_that_nobody_asked_for_are_counted_apart(bad: list[str], words: str) -> None:
    assert describe_failures(dict.fromkeys(bad, "why"), DAYS) == f"{words}{', '.join(bad)}: why"


def test_each_date_that_was_not_made_is_named_and_each_reason_told(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    days = [f"2026-01-{day}" for day in range(11, 19)]
    for number, shift_date in enumerate(days[1:], start=10):
        project.shop.sell(number, shift_date, total="many" if number != 12 else 1)
    result = project.run(days[0], days[-1])
    reason = failure_of(result)
    assert reason.startswith("6 of 8 shift dates not made. 2026-01-12: receipt 10: total: ")
    assert reason.endswith("; for other reasons, which the log has: 2026-01-18"), reason
    assert all((day in reason) == (day not in ("2026-01-11", "2026-01-14")) for day in days)
    assert "2026-01-18: receipt 16: total: 'many' is not a number" in capfd.readouterr().err


def test_findings_that_can_not_be_read_are_told_in_one_line(project: Project) -> None:
    access = Access(project.settings)
    access.lake.keep(f"variance_findings/shift_date={DAYS[0]}/part-0.parquet", b"PAR1 no more")
    with pytest.raises(dg.Failure, match=rf"can't be read .*\): make {DAYS[0]} again$"):
        list(judge(access, project.instance, [DAYS[0]]))


def test_two_dates_bad_for_different_reasons_cost_no_event_of_the_others(project: Project) -> None:
    project.shop.sell(4, "2026-01-21")
    project.shop.world.update_receipt(1, total="many")
    project.shop.answer("/receipts/3/stock-operations", "{}")
    result = project.run("2026-01-19", "2026-01-21")
    assert failure_of(result).startswith("2 of 3 shift dates not made. 2026-01-19: ")
    assert sorted(project.materializations("receipts")) == ["2026-01-20", "2026-01-21"]
    assert list(project.materializations("daily_cogs")) == ["2026-01-21"]


def test_a_move_away_from_a_bad_date_is_recorded_for_both(project: Project) -> None:
    assert project.run(*DAYS).success
    project.shop.world.move_receipt(1, date(2026, 1, 20))
    project.shop.world.update_receipt(2, total="many")
    assert not project.run(*DAYS).success
    for name in ("receipts", "receipt_products", "stock_operations", "line_cogs", "daily_cogs", "stock_ledger"):
        events = project.materializations(name)
        assert {day: len(recorded) for day, recorded in events.items()} == dict.fromkeys(DAYS, 2), name
    assert cogs(project, "2026-01-19") == [Decimal("0.640000")]
    assert cogs(project, "2026-01-20") == [Decimal("1.280000")]


@pytest.mark.parametrize("table", ["line_cogs", "daily_cogs", "stock_ledger", "variance_findings"])
def test_a_damaged_computed_table_is_written_anew(project: Project, table: str) -> None:
    assert project.run(*DAYS).success
    lake = project.shop.lake
    whole = lake.read(TABLES[table], "2026-01-19")
    lake.path(TABLES[table], "2026-01-19").write_bytes(b"PAR1 no more")
    assert project.run(*DAYS).success
    assert lake.read(TABLES[table], "2026-01-19") == whole
