"""stock_ledger: the golden days, random worlds and sandbox histories, made in any order, against the oracle."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise, permutations
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from clopos_assets.compute import select
from clopos_assets.database import connect
from clopos_assets.lake import Lake
from clopos_assets.ledger import OTHER_OPERATIONS, make_stock_ledger
from clopos_assets.sandbox import History
from clopos_assets.tables import RECEIPTS, STOCK_LEDGER, STOCK_OPERATIONS, ContractError
from tests.golden.period import DAYS, OPERATIONS, expected_rows
from tests.golden.period import RECEIPTS as GOLDEN_RECEIPTS
from tests.ingest.shop import days_from
from tests.oracle import differences
from tests.range.test_range import options
from tests.sql.day import as_arrow, operation, receipt
from tests.variance.ledger_oracle import ledger_tables
from tests.variance.ledger_world import World, assert_ledger, make, small_world


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as connection:
        yield connection


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def assert_golden(rows: list[dict[str, Any]], shift_date: str) -> None:
    wanted = expected_rows("stock_ledger", shift_date)
    worked = set(wanted[0])
    assert differences("stock_ledger", [{k: v for k, v in row.items() if k in worked} for row in rows], wanted) == []


@pytest.mark.parametrize("together", [True, False], ids=["together", "one by one"])
@pytest.mark.parametrize("order", list(permutations(DAYS)), ids=lambda order: " ".join(day[-2:] for day in order))
def test_the_golden_days_in_any_order(
    lake: Lake, connection: duckdb.DuckDBPyConnection, order: tuple[str, ...], together: bool
) -> None:
    world = World.of(GOLDEN_RECEIPTS, OPERATIONS)
    world.file(lake)
    for days in [order] if together else [(day,) for day in order]:
        make(lake, connection, *days)
    for day in DAYS:
        rows = lake.read(STOCK_LEDGER, day)
        assert rows is not None
        assert_golden(rows.to_pylist(), day)


@pytest.mark.parametrize("shift_date", DAYS)
def test_the_oracle_gives_the_golden_days(shift_date: str) -> None:
    assert_golden(ledger_tables(GOLDEN_RECEIPTS, OPERATIONS)[shift_date], shift_date)


@pytest.mark.parametrize("seed", range(5))
def test_a_random_world_at_once(lake: Lake, connection: duckdb.DuckDBPyConnection, seed: int) -> None:
    world = small_world(seed, events=60)
    world.file(lake)
    make(lake, connection, *world.days)
    assert_ledger(lake, world, world.days)


@pytest.mark.parametrize("seed", range(2))
def test_a_history_followed_day_by_day_equals_one_range(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, seed: int
) -> None:
    """Late closings, moves, deletions and reopenings; made and made again in a random order as they happen."""
    history = History(options(seed))
    first = history.options.start_date
    days = days_from(first.isoformat(), 8)
    random = Random(seed)
    followed, at_once = Lake(tmp_path / "followed"), Lake(tmp_path / "at once")
    for number in range(1, 12):
        history.advance(datetime.combine(first + timedelta(days=number), time(7)))
        again = days[max(0, number - 6) : number]
        world = snapshot(history)
        world.touched = set(again)
        world.file(followed)
        random.shuffle(again)
        for day in again:
            make(followed, connection, day)
    for lake in (followed, at_once):
        world = snapshot(history)
        world.touched = set(days)
        world.file(lake)
        make(lake, connection, *days)
        assert_ledger(lake, world, days)
    assert all(followed.read(STOCK_LEDGER, day) == at_once.read(STOCK_LEDGER, day) for day in days)
    rows = [(day, row) for day, rows in world.expected(days).items() for row in rows]
    late = [row for day, row in rows if row["operated_at"].date() > next_day(day)]
    assert len(rows) > 500
    assert late, "something was closed late"


def snapshot(history: History) -> World:
    world = history.world
    receipts = [world.receipt(receipt_id) for receipt_id in world.receipt_ids()]
    return World.of(receipts, {receipt["id"]: list(world.operations(receipt["id"])) for receipt in receipts})


def next_day(day: str) -> date:
    return date.fromisoformat(day) + timedelta(days=1)


@pytest.mark.parametrize("seed", range(4))
def test_gaps_and_deductions_add_up_per_stock(lake: Lake, connection: duckdb.DuckDBPyConnection, seed: int) -> None:
    """Σ gaps − Σ deductions = last after − first before, over all shift dates."""
    world = small_world(seed, events=80)
    for items in world.operations.values():
        for item in items:  # where an operation itself adds up
            item["after_quantity"] = item["before_quantity"] - item["quantity"]
    world.file(lake)
    make(lake, connection, *world.days)
    tables = [lake.read(STOCK_LEDGER, day) for day in world.days]
    rows = [row for table in tables if table is not None for row in table.to_pylist()]
    stocks = {row["stock_id"] for row in rows}
    assert len(stocks) == 3
    for stock in stocks:
        own = sorted(
            (r for r in rows if r["stock_id"] == stock), key=lambda r: (r["operated_at"], r["stock_operation_id"])
        )
        gaps = sum(row["unexplained_quantity"] or 0 for row in own)
        assert gaps - sum(row["quantity"] for row in own) == own[-1]["after_quantity"] - own[0]["before_quantity"]
        assert [row["previous_operation_id"] for row in own] == [
            None,
            *(earlier["stock_operation_id"] for earlier, _ in pairwise(own)),
        ]


def ledger_row(connection: duckdb.DuckDBPyConnection, *items: dict[str, Any]) -> list[dict[str, Any]]:
    inputs = {
        "receipts": as_arrow(
            RECEIPTS, [receipt(1), receipt(2, status=1), receipt(3, deleted_at=datetime(2026, 1, 19))]
        ),
        "stock_operations": as_arrow(STOCK_OPERATIONS, items),
        "other_operations": OTHER_OPERATIONS.empty_table(),
    }
    rows = select(connection, STOCK_LEDGER, inputs)
    STOCK_LEDGER.check(rows)
    found: list[dict[str, Any]] = rows.to_pylist()
    return found


@pytest.mark.parametrize(
    ("after", "cost", "before", "before_cost", "quantity", "value"),
    [
        ("9", "2", "9", "2", "0", "0"),
        ("9", "2", "9", "2.5", "0", "4.5"),
        ("-1.5", "2", "8", "3", "9.5", "27"),
        ("8", "3", "-1.5", "2", "-9.5", "-27"),
        ("0", "0", "0.000001", "0.5", "0.000001", "0"),
        ("0", "0", "0.000003", "0.5", "0.000003", "0.000002"),
        ("0", "0", "0.000005", "0.5", "0.000005", "0.000002"),
        ("0", "0", "-0.000005", "0.5", "-0.000005", "-0.000002"),
        ("0", "0", "0.000005", "0.500001", "0.000005", "0.000003"),
        ("99999999999", "1.234567", "99999999999", "1.234568", "0", "99999.999999"),
        ("9", "2", "9", None, "0", None),
        ("8", "2", "9", None, "1", None),
    ],
)
def test_quantity_is_exact_and_value_rounded_half_even(
    connection: duckdb.DuckDBPyConnection,
    after: str,
    cost: str,
    before: str,
    before_cost: str | None,
    quantity: str,
    value: str | None,
) -> None:
    first = operation(901, 1, None, after_quantity=after, cost=cost)
    second = operation(902, 1, None, before_quantity=before, before_cost=before_cost)
    rows = ledger_row(connection, first, second)
    assert [row["unexplained_quantity"] for row in rows] == [None, Decimal(quantity)]
    assert [row["unexplained_value"] for row in rows] == [None, None if value is None else Decimal(value)]


def test_only_operations_of_closed_receipts(connection: duckdb.DuckDBPyConnection) -> None:
    rows = ledger_row(
        connection, *(operation(900 + number, number, None) for number in (1, 2, 3, 4)), operation(905, 1, None)
    )
    assert [(row["stock_operation_id"], row["previous_operation_id"]) for row in rows] == [(901, None), (905, 901)]


def test_equal_moments_are_ordered_by_id_and_stocks_stand_apart(connection: duckdb.DuckDBPyConnection) -> None:
    noon, before = datetime(2026, 1, 19, 12), datetime(2026, 1, 19, 11, 59, 59)
    rows = ledger_row(
        connection,
        operation(901, 1, None, operated_at=noon),
        operation(902, 1, None, operated_at=before),
        operation(903, 1, None, operated_at=noon),
        operation(904, 1, None, operated_at=noon, stock_id=7),
    )
    assert {row["stock_operation_id"]: row["previous_operation_id"] for row in rows} == {
        901: 902,
        902: None,
        903: 901,
        904: None,
    }


def test_operations_of_other_shift_dates_come_first_but_give_no_rows(connection: duckdb.DuckDBPyConnection) -> None:
    others = pa.table(
        [
            [5501, 5501, 5501],
            [datetime(2026, 1, 1)] * 2 + [datetime(2026, 1, 20)],
            [11, 901, 13],
            [Decimal(4)] * 3,
            [Decimal(2)] * 3,
        ],
        schema=OTHER_OPERATIONS,
    )
    inputs = {
        "receipts": as_arrow(RECEIPTS, [receipt(1)]),
        "stock_operations": as_arrow(STOCK_OPERATIONS, [operation(901, 1, None, before_cost=2)]),
        "other_operations": others,
    }
    (row,) = select(connection, STOCK_LEDGER, inputs).to_pylist()
    # 901 stands under another shift date too, while its receipt moves: it does not follow itself.
    assert (row["stock_operation_id"], row["previous_operation_id"]) == (901, 11)
    assert (row["unexplained_quantity"], row["unexplained_value"]) == (6, 12)


def test_a_gap_that_does_not_fit_is_refused(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    world = World(["2026-03-01", "2026-03-02"], 0)
    large = world.sell("2026-03-02", "2026-03-02 12:00:00", after_quantity=Decimal("-900000000000"))
    world.sell("2026-03-01", "2026-03-02 13:00:00", before_quantity=Decimal("900000000000"), before_cost=None)
    world.file(lake)
    made = make_stock_ledger(lake, connection, world.days)
    assert list(made.bad) == ["2026-03-01"]
    assert made.bad["2026-03-01"].startswith("stock_ledger: a figure is too large for its column")
    assert "\n" not in made.bad["2026-03-01"]
    assert list(made.facts["stock_ledger"]) == ["2026-03-02"]
    world.correct(large, after_quantity=Decimal(1))
    world.file(lake)
    assert make(lake, connection, *world.days) == set(world.days)
    assert_ledger(lake, world, world.days)


def test_a_declared_schema_is_kept_by_the_sql(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(ContractError, match=r"^stock_ledger: a figure is too large"):
        ledger_row(
            connection,
            operation(901, 1, None, after_quantity="999999999999", cost="999999999999"),
            operation(902, 1, None, before_quantity="999999999999", before_cost="0"),
        )
