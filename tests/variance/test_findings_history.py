"""The bar of variance_findings: a clean history gives no ERROR and no WARN, each planted fault exactly its own."""

import copy
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from random import Random

import duckdb
import pytest

from clopos_assets.compute import Rules
from clopos_assets.lake import Lake
from clopos_assets.sandbox import History, HistoryOptions
from tests.variance.books import Answers, Books, limits_of, oracle_days
from tests.variance.findings_oracle import SEVERITIES, Row, history_findings
from tests.variance.planting import FAULTS, Garden

FIRST = date(2026, 3, 2)
DAYS = 11
# Shorter than the history, so that dates leave the window too.
RULES = Rules(standard_days=7)
OPTIONS = HistoryOptions(start_date=FIRST, venues=2, receipts_per_day=14)
RARE = replace(
    OPTIONS,
    venues=3,
    receipts_per_day=10,
    late_rate=0.06,
    never_closed_rate=0.03,
    edit_rate=0.1,
    move_rate=0.05,
    deletion_rate=0.05,
    reopen_rate=0.04,
    return_rate=0.05,
    gift_rate=0.05,
    debt_rate=0.05,
)
PLANTED_SINCE = (FIRST + timedelta(days=DAYS - 2)).isoformat()


def play(options: HistoryOptions) -> Answers:
    """The answers of the API on the morning after the last of the days."""
    history = History(options)
    history.advance(datetime.combine(FIRST + timedelta(days=DAYS), time(7)))
    world = history.world
    ended = (FIRST + timedelta(days=DAYS)).isoformat()
    receipts = [receipt for receipt in map(world.receipt, world.receipt_ids()) if receipt["shift_date"] < ended]
    return receipts, {receipt["id"]: world.operations(receipt["id"]) for receipt in receipts}


def expected_findings(answers: Answers) -> dict[str, list[Row]]:
    return history_findings(oracle_days(answers), limits_of(RULES))


def by_id(rows: list[Row]) -> dict[str, Row]:
    """Findings as they are compared: by id, without the sentence."""
    assert len({row["finding_id"] for row in rows}) == len(rows)
    return {row["finding_id"]: {name: row[name] for name in row if name != "message"} for row in rows}


def assert_same(found: dict[str, list[Row]], expected: dict[str, list[Row]]) -> None:
    assert found.keys() == expected.keys()
    for day, rows in expected.items():
        got, wanted = by_id(found[day]), by_id(rows)
        assert {key: got.get(key) for key in wanted} == wanted, day
        assert got.keys() == wanted.keys(), day


@pytest.mark.parametrize("seed", range(2))
def test_a_clean_history_gives_no_error_and_no_warning(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, seed: int
) -> None:
    """What it gives are the deliveries, waste and counts that no sale explains."""
    answers = play(replace(OPTIONS, seed=seed).without_rare_events())
    found = Books(Lake(tmp_path), connection, RULES).make(answers)
    assert len(found) == DAYS
    counts = Counter(row["check_name"] for rows in found.values() for row in rows)
    assert counts.keys() == {"stock_is_continuous"}
    assert counts["stock_is_continuous"] > 100
    assert_same(found, expected_findings(answers))


@pytest.mark.parametrize("seed", range(8))
def test_clean_histories_of_other_seeds_by_the_oracle(seed: int) -> None:
    """Cheaper, so more of them, in larger and smaller brands and cost units."""
    cost_unit = (Rules().cost_unit, RULES.cost_unit / 100)[seed % 2]
    options = replace(OPTIONS, seed=100 + seed, venues=1 + seed % 4, receipts_per_day=5 + seed, cost_unit=cost_unit)
    found = expected_findings(play(options.without_rare_events()))
    assert {row["check_name"] for rows in found.values() for row in rows} <= {"stock_is_continuous"}


def test_a_history_with_all_that_is_rare(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    answers = play(RARE)
    Random(1).shuffle(answers[0])
    found = Books(Lake(tmp_path), connection, RULES).make(answers)
    assert_same(found, expected_findings(answers))
    checks = {row["check_name"] for rows in found.values() for row in rows}
    assert checks == {"stock_is_continuous", "closed_within_shift", "receipt_is_closed"}


@dataclass(frozen=True)
class Clean:
    """A clean history with its lake, its rows by the oracle, and what is found in it all the same."""

    answers: Answers
    root: Path
    days: dict[str, dict[str, list[Row]]]
    found: dict[str, dict[str, Row]]


@pytest.fixture(scope="module")
def clean(connection: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory) -> Clean:
    """One venue: its amounts have no tax on top."""
    answers = play(replace(OPTIONS, seed=5, venues=1, receipts_per_day=40).without_rare_events())
    root = tmp_path_factory.mktemp("clean")
    found = Books(Lake(root), connection, RULES).make(answers)
    return Clean(answers, root, oracle_days(answers), {day: by_id(rows) for day, rows in found.items()})


Entity = tuple[str, str, int]


def about(row: Row) -> Entity:
    kinds = {"stock_operation_id": "operation", "receipt_product_id": "line", "receipt_id": "receipt"}
    name = next(name for name in kinds if row[name] is not None)
    return row["check_name"], kinds[name], row[name]


def plant_and_find(
    connection: duckdb.DuckDBPyConnection, root: Path, clean: Clean, *checks: str
) -> tuple[set[Entity], set[Entity]]:
    """Faults planted in the history: what should be found of them, and what is found that was not before.

    Whatever was found before must still be, and all as the oracle has it.
    """
    receipts, operations = copy.deepcopy(clean.answers)
    garden = Garden(receipts, operations, PLANTED_SINCE)
    planted = {(check, *garden.plant(check)) for check in checks}
    shutil.copytree(clean.root, root, dirs_exist_ok=True)
    found = Books(Lake(root), connection, RULES).make((receipts, operations), since=PLANTED_SINCE)
    days = {**clean.days, **oracle_days((receipts, operations), since=PLANTED_SINCE)}
    assert_same(found, history_findings(days, limits_of(RULES), since=PLANTED_SINCE))
    new: set[Entity] = set()
    for day, rows in found.items():
        got = by_id(rows)
        assert clean.found[day].keys() <= got.keys(), day
        new |= {about(row) for key, row in got.items() if key not in clean.found[day]}
    return planted, new


def test_there_is_a_fault_for_every_check() -> None:
    assert FAULTS.keys() == SEVERITIES.keys()
    assert len(FAULTS) == 15


@pytest.mark.parametrize("check", SEVERITIES)
def test_a_planted_fault_gives_its_own_finding_alone(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, clean: Clean, check: str
) -> None:
    planted, new = plant_and_find(connection, tmp_path, clean, check)
    assert [name for name, _, _ in planted] == [check]
    assert new == planted


def test_all_faults_together_give_all_findings(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, clean: Clean
) -> None:
    planted, new = plant_and_find(connection, tmp_path, clean, *FAULTS)
    assert {check for check, _, _ in planted} == SEVERITIES.keys()
    assert new == planted
