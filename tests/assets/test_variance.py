"""The variance tables and their checks in Dagster, on a history into which every fault was planted."""

import copy
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from clopos_assets.assembly import build_definitions
from clopos_assets.assets.checks import evaluate
from clopos_assets.findings import CHECKS, show_amount, show_message
from clopos_assets.lake import Lake
from clopos_assets.settings import Settings
from clopos_assets.tables import (
    DAILY_COGS,
    FINDING_HISTORY,
    INGREDIENT_USAGE,
    PRODUCT_COGS,
    TABLES,
    VARIANCE_FINDINGS,
    ContractError,
    Table,
)
from tests.assets.conftest import Project, failure_of
from tests.assets.faulty import DAYS, clean_answers, faulty_world, served
from tests.ingest.shop import Shop
from tests.variance.planting import FAULTS, Garden

LAST = DAYS[-1]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, dg.ExecuteInProcessResult]]:
    """A range made in a single run, with every fault on its last date."""
    root = tmp_path_factory.mktemp("faulty")
    with (
        pytest.MonkeyPatch.context() as patch,
        served(faulty_world()) as sandbox,
        dg.DagsterInstance.ephemeral(str(root)) as instance,
    ):
        for name, value in {**sandbox.settings(), "CLOPOS_START_DATE": DAYS[0]}.items():
            patch.setenv(name, value)
        patch.setenv("CLOPOS_LAKE", str(root / "lake"))
        settings = Settings.read()
        project = Project(Shop(root, sandbox), settings, build_definitions(settings), instance)
        yield project, project.run(DAYS[0], LAST)


def evaluations(result: dg.ExecuteInProcessResult, shift_date: str) -> dict[str, dg.AssetCheckEvaluation]:
    """The checks of a shift date by name, those of unknown fields left out."""
    names = {check.name for check in CHECKS}
    return {
        evaluation.check_name: evaluation
        for evaluation in result.get_asset_check_evaluations()
        if evaluation.partition == shift_date and evaluation.check_name in names
    }


def test_the_run_succeeds_and_records_every_table_once_per_date(
    faulty: tuple[Project, dg.ExecuteInProcessResult],
) -> None:
    project, result = faulty
    assert result.success
    for name in TABLES:
        assert {day: len(events) for day, events in project.materializations(name).items()} == dict.fromkeys(DAYS, 1)


def test_each_planted_fault_is_told_by_its_own_check(faulty: tuple[Project, dg.ExecuteInProcessResult]) -> None:
    """Planted once more for its ids: nothing is found but that, and the gaps that the clean history has by itself."""
    project, result = faulty
    garden = Garden(*copy.deepcopy(clean_answers()), since=LAST)
    of_date = [garden.operations[receipt["id"]] for receipt in garden.receipts if receipt["shift_date"] == LAST]
    gaps = {item["id"] for answer in of_date for item in answer if garden.has_gap(item)}
    planted = {check: garden.plant(check) for check in FAULTS}
    # A fault takes a line's deductions away: where there is no operation any more, there is no gap.
    gaps &= {item["id"] for answer in of_date for item in answer}
    assert len(gaps) > 10
    findings = project.shop.lake.read(VARIANCE_FINDINGS, LAST)
    assert findings is not None
    rows = findings.to_pylist()
    columns = {"receipt": "receipt_id", "line": "receipt_product_id", "operation": "stock_operation_id"}
    found = evaluations(result, LAST)
    assert set(found) == {check.name for check in CHECKS}
    for check in CHECKS:
        kind, planted_id = planted[check.name]
        expected = {planted_id, *(gaps if check.name == "stock_is_continuous" else ())}
        ids = [row[columns[kind]] for row in rows if row["check_name"] == check.name]
        assert sorted(ids) == sorted(expected), check.name
        evaluation = found[check.name]
        assert evaluation.asset_key.to_user_string() == check.table
        assert evaluation.metadata["count"].value == len(ids), check.name
        assert evaluation.passed == (check.severity == "INFO"), check.name
        assert (evaluation.severity == dg.AssetCheckSeverity.ERROR) == (check.severity == "ERROR")
        worst = str(evaluation.metadata["worst"].value)
        assert worst.count("\n") == min(len(ids), 10) + 1, check.name


def test_the_worst_rows_of_a_range_have_their_dates(faulty: tuple[Project, dg.ExecuteInProcessResult]) -> None:
    _, result = faulty
    (told,) = (
        evaluation
        for evaluation in result.get_asset_check_evaluations()
        if evaluation.partition is None and evaluation.check_name == "payments_match_total"
    )
    assert {"count_in_range", "amount_at_risk_in_range", "worst"} == set(told.metadata)
    assert str(told.description).startswith(f"{DAYS[0]} to {DAYS[-1]}: 1 found, ")
    heading, _, row = str(told.metadata["worst"].value).splitlines()
    assert heading == "| shift date | venue | at risk | what |"
    assert row.startswith(f"| {LAST} | ")
    of_date = str(evaluations(result, LAST)["payments_match_total"].metadata["worst"].value).splitlines()
    assert of_date == ["| venue | at risk | what |", "| --: | --: | --- |", row.replace(f"| {LAST} ", "", 1)]


def test_a_date_without_faults_passes_every_check(faulty: tuple[Project, dg.ExecuteInProcessResult]) -> None:
    _, result = faulty
    found = evaluations(result, DAYS[3])
    assert found.keys() == {check.name for check in CHECKS}
    assert all(evaluation.passed for evaluation in found.values())


def test_figures_tell_of_findings_and_timeliness(faulty: tuple[Project, dg.ExecuteInProcessResult]) -> None:
    project, _ = faulty
    facts = project.materializations("variance_findings")[LAST][0].metadata
    assert facts["findings_error"].value == 3
    findings = project.shop.lake.read(VARIANCE_FINDINGS, LAST)
    assert findings is not None
    by_severity = {severity: Decimal(0) for severity in ("ERROR", "WARN", "INFO")}
    for row in findings.to_pylist():
        by_severity[row["severity"]] += row["amount_at_risk"] or 0
    assert by_severity["INFO"] > 0
    assert facts["amount_at_risk"].value == float(by_severity["ERROR"] + by_severity["WARN"])
    heading, _, worst, *_ = str(facts["worst"].value).splitlines()
    assert heading == "| venue | at risk | what |"
    pressing = [row for row in findings.to_pylist() if row["severity"] != "INFO"]
    most = max(pressing, key=lambda row: row["amount_at_risk"] or 0)
    assert worst == f"| {most['venue_id']} | {most['amount_at_risk']:,.2f} | {show_message(most['message'])} |"
    assert isinstance(facts["worst"], dg.MarkdownMetadataValue)
    for name in ("open_receipts", "receipts_closed_late", "last_closing_hours_after_shift", "posting_lag_seconds"):
        assert isinstance(facts[name].value, int | float), name
    fit = facts["receipt_adds_up_fit_pct"].value
    assert isinstance(fit, float)
    assert 80 < fit < 100
    assert project.materializations("variance_findings")[DAYS[3]][0].metadata["receipt_adds_up_fit_pct"].value == 100


def test_history_follows_what_stands(faulty: tuple[Project, dg.ExecuteInProcessResult]) -> None:
    project, _ = faulty
    lake = project.shop.lake
    findings, before = lake.read(VARIANCE_FINDINGS, LAST), lake.read(FINDING_HISTORY, LAST)
    assert findings is not None
    assert before is not None
    assert sorted(before.column("finding_id").to_pylist()) == sorted(findings.column("finding_id").to_pylist())
    (unpaid,) = [row for row in findings.to_pylist() if row["check_name"] == "payments_match_total"]
    receipt = copy.deepcopy(project.shop.world.receipt(unpaid["receipt_id"]))
    receipt["payment_methods"][0]["amount"] += unpaid["expected"] - unpaid["actual"]
    project.shop.world.put_receipt(receipt)
    result = project.run(LAST)
    assert result.success
    assert evaluations(result, LAST)["payments_match_total"].passed
    after = lake.read(FINDING_HISTORY, LAST)
    assert after is not None
    rows = {row["finding_id"]: row for row in after.to_pylist()}
    first = {row["finding_id"]: row["first_seen_at"] for row in before.to_pylist()}
    assert {finding_id: row["first_seen_at"] for finding_id, row in rows.items()} == first
    resolved = {finding_id for finding_id, row in rows.items() if row["resolved_at"] is not None}
    assert resolved == {unpaid["finding_id"]}
    assert rows[unpaid["finding_id"]]["last_seen_at"] < rows[unpaid["finding_id"]]["resolved_at"]


@pytest.mark.parametrize("asked", [("2026-01-19",), ("2026-01-19", "2026-01-19"), ("2026-01-19", "2026-01-20")])
def test_no_check_of_a_shift_date_stays_planned(project: Project, asked: tuple[str, ...]) -> None:
    result = project.run(*asked)
    assert result.success
    of_date = [check for check in result.get_asset_check_evaluations() if check.partition in (None, "2026-01-19")]
    assert {check.name for check in CHECKS} < {check.check_name for check in of_date}
    for key in {check.asset_check_key for check in of_date}:
        records = project.instance.event_log_storage.get_asset_check_execution_history(key, limit=100)
        known = [record.status.value for record in records if record.partition == "2026-01-19"]
        assert known == ["SUCCEEDED"], key


@pytest.mark.parametrize(
    ("table", "right", "wrong", "said"),
    [
        (
            DAILY_COGS,
            "    cogs,\n    net_sales - cogs as gross_profit",
            "    cogs + 0.01 as cogs,\n    net_sales + 0.01 as gross_profit",
            "daily_cogs: cost of goods of venue 1 is 1.290000, and its stock operations cost 1.280000",
        ),
        (
            PRODUCT_COGS,
            "sum(cogs) as cogs",
            "sum(cogs) + 0.01 as cogs",
            "product_cogs: cost of goods of venue 1 is 1.290000, and its lines cost 1.280000",
        ),
        (
            INGREDIENT_USAGE,
            "    total_cost,\n    total_cost / nullif",
            "    total_cost + 0.01 as total_cost,\n    total_cost / nullif",
            "ingredient_usage: cost of goods of venue 1 is 1.290000, and its stock operations cost 1.280000",
        ),
        (
            PRODUCT_COGS,
            "group by venue_id, product_id",
            "group by venue_id, product_id\nhaving false",
            "product_cogs: cost of goods of venue 1 is 0, and its lines cost 1.280000",
        ),
    ],
    ids=["daily_cogs", "product_cogs", "ingredient_usage", "without the venue"],
)
def test_cost_that_is_not_that_of_the_deductions_is_not_written(
    project: Project, monkeypatch: pytest.MonkeyPatch, table: Table, right: str, wrong: str, said: str
) -> None:
    from clopos_assets.compute import querying

    true = querying.query_of

    def query(asked: Table) -> str:
        return true(asked).replace(right, wrong) if asked is table else true(asked)

    monkeypatch.setattr(querying, "query_of", query)
    assert query(table) != true(table)
    result = project.run("2026-01-19", "2026-01-20")
    assert said in failure_of(result)
    assert not project.shop.lake.has(table, "2026-01-19")


def test_a_date_whose_ledger_changes_with_anothers_is_followed_and_judged(project: Project) -> None:
    project.shop.world.put_operations(3, [])  # the 20th: its deduction comes late
    assert project.run("2026-01-19", "2026-01-20").success
    project.shop.sell(4, "2026-01-21")
    assert project.run("2026-01-21").success
    project.shop.deduct(3, before_quantity=50, after_quantity=Decimal("49.8"))
    project.shop.world.update_receipt(3, order_status="READY")
    result = project.run("2026-01-20")
    assert result.success
    events = {name: sorted(project.materializations(name)) for name in TABLES}
    counts = {name: len(project.materializations(name)["2026-01-21"]) for name in TABLES}
    assert all(days == ["2026-01-19", "2026-01-20", "2026-01-21"] for days in events.values())
    assert {name for name, count in counts.items() if count == 2} == {
        "stock_ledger",
        "stock_gaps",
        "usage_variance",  # the 20th sets its standards
        "variance_findings",
        "finding_history",
    }
    assert {
        evaluation.check_name
        for evaluation in result.get_asset_check_evaluations()
        if evaluation.partition == "2026-01-21"
    } == {check.name for check in CHECKS}


@pytest.mark.parametrize("name", ["lake [1] {a,b} *", "o'Brien's; shift_date=1 \"$x\" %20 \\ --"])
def test_a_lake_of_an_odd_name(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """One looks like a pattern to DuckDB, the other is full of what means something in SQL or in paths."""
    monkeypatch.setenv("CLOPOS_LAKE", str(tmp_path / name))
    project.settings = Settings.read()
    project.definitions = build_definitions(project.settings)
    assert project.run("2026-01-19", "2026-01-20").success
    assert sorted(project.materializations("variance_findings")) == ["2026-01-19", "2026-01-20"]


def test_checks_of_good_dates_are_told_when_the_findings_of_another_fail(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Lake.replace

    def refuse(lake: Lake, table: Table, shift_date: str, rows: object, notes: dict[str, str]) -> None:
        if (table, shift_date) == (VARIANCE_FINDINGS, "2026-01-19"):
            raise ContractError("made up")
        replace(lake, table, shift_date, rows, notes)

    monkeypatch.setattr(Lake, "replace", refuse)
    result = project.run("2026-01-19", "2026-01-20")
    assert "2026-01-19: made up" in failure_of(result)
    assert set(evaluations(result, "2026-01-20")) == {check.name for check in CHECKS}
    assert not evaluations(result, "2026-01-19")


def test_a_name_is_shown_as_it_is_and_loads_nothing() -> None:
    name = "![x](http://127.0.0.1/pixel.png) | <b>Çay</b> *0,5* ~~l~~ `$1` #1 & Co"
    rows = [
        dict.fromkeys(VARIANCE_FINDINGS.names)
        | {"finding_id": str(number), "check_name": CHECKS[0].name, "severity": "WARN", "venue_id": 1}
        | {"amount_at_risk": Decimal(number), "message": f"{name} {number}"}
        for number in range(30)
    ]
    found = pa.Table.from_pylist(rows, schema=VARIANCE_FINDINGS.schema)
    told = evaluate(CHECKS[0], found)
    assert "![x]" not in str(told.description)
    worst = str(told.metadata["worst"].value).splitlines()[2:]
    assert worst == [
        f"| 1 | {number:.2f} | \\!\\[x\\](http://127.0.0.1/pixel.png) \\| \\<b\\>Çay\\</b\\> "
        rf"\*0,5\* \~\~l\~\~ \`\$1\` \#1 \& Co {number} |"
        for number in range(29, 19, -1)
    ]


def found_of(name: str, severity: str, *amounts: Decimal | None, **columns: object) -> pa.Table:
    rows = [
        dict.fromkeys(VARIANCE_FINDINGS.names)
        | {"finding_id": str(number), "check_name": name, "severity": severity, "venue_id": 2}
        | {"amount_at_risk": amount, "message": f"Sentence {number}.", **columns}
        for number, amount in enumerate(amounts)
    ]
    return pa.Table.from_pylist(rows, schema=VARIANCE_FINDINGS.schema)


def test_nothing_at_risk_is_told_as_such() -> None:
    assert [show_amount(amount) for amount in (None, Decimal(0), Decimal("1234.5"))] == ["", "0.00", "1,234.50"]


def test_a_check_sums_up_its_own_findings_and_tells_the_worst() -> None:
    checks = {check.name: check for check in CHECKS}
    paid, gaps = checks["payments_match_total"], checks["stock_is_continuous"]
    amounts = [Decimal("1000.5"), None, Decimal("0.25"), Decimal(2000), Decimal(3)]
    found = pa.concat_tables([found_of(paid.name, "WARN", *amounts), found_of(gaps.name, "INFO", Decimal(7), None)])
    told = evaluate(paid, found)
    assert (told.passed, told.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert told.description == "5 found, 3,003.75 at risk. Sentence 3. Sentence 0. Sentence 4."
    assert (told.metadata["count"].value, told.metadata["amount_at_risk"].value) == (5, 3003.75)
    assert str(told.metadata["worst"].value).splitlines()[2:] == [
        "| 2 | 2,000.00 | Sentence 3. |",
        "| 2 | 1,000.50 | Sentence 0. |",
        "| 2 | 3.00 | Sentence 4. |",
        "| 2 | 0.25 | Sentence 2. |",
        "| 2 |  | Sentence 1. |",
    ]
    told = evaluate(gaps, found)
    assert told.passed
    assert told.description == "2 found, worth 7.00. Sentence 0. Sentence 1."
    # What went out comes first, be it worth less than what came in.
    lost = found_of(gaps.name, "INFO", Decimal(1), None, difference=Decimal(-4))
    told = evaluate(gaps, pa.concat_tables([found_of(gaps.name, "INFO", Decimal(7), difference=Decimal(2)), lost]))
    assert [row[:12] for row in str(told.metadata["worst"].value).splitlines()[2:]] == [
        "| 2 | 1.00 |",
        "| 2 |  | Sen",
        "| 2 | 7.00 |",
    ]
    none = evaluate(checks["cost_adds_up"], found)
    assert (none.passed, none.severity, none.description) == (True, dg.AssetCheckSeverity.ERROR, "Nothing found.")
    assert {name: figure.value for name, figure in none.metadata.items()} == {"count": 0, "amount_at_risk": 0.0}
