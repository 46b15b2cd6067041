"""stock_gaps: given these rows of the ledger, expect those; and over random worlds the oracle."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from clopos_assets.compute import Rules, compute, select
from clopos_assets.database import connect
from clopos_assets.lake import Lake
from clopos_assets.tables import STOCK_GAPS, STOCK_LEDGER, ContractError
from tests.oracle import differences
from tests.sql.day import as_arrow, pick
from tests.variance.ledger_oracle import gaps_of
from tests.variance.ledger_world import make, small_world

NOON = datetime(2026, 1, 19, 12)
QUANTITIES = "inflow_quantity outflow_quantity"
VALUES = "inflow_value outflow_value revaluation"


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as connection:
        yield connection


def row(
    operation_id: int, after: object, cost: object, before: object, before_cost: object, **columns: Any
) -> dict[str, Any]:
    """A row of the ledger whose unexplained figures follow from the four that are given."""
    figures: list[Decimal | None] = [None if f is None else Decimal(str(f)) for f in (after, cost, before, before_cost)]
    a, c, b, bc = figures
    change = None if a is None or c is None or b is None or bc is None else b * bc - a * c
    return {
        "stock_operation_id": operation_id,
        "receipt_id": 1,
        "venue_id": 1,
        "storage_id": 3,
        "stock_id": 5501,
        "product_id": 501,
        "product_name": "Düyü",
        "previous_operation_id": None if a is None else 1,
        "quantity": 0,
        "before_quantity": b,
        "after_quantity": 0,
        "cost": 0,
        "before_cost": bc,
        "previous_after_quantity": a,
        "previous_cost": c,
        "unexplained_quantity": None if a is None or b is None else b - a,
        "unexplained_value": None if change is None else round(change, 6),
        "operated_at": NOON,
    } | columns


def gaps(connection: duckdb.DuckDBPyConnection, *rows: dict[str, Any]) -> Sequence[dict[str, Any]]:
    found = select(connection, STOCK_GAPS, {"stock_ledger": as_arrow(STOCK_LEDGER, rows)})
    STOCK_GAPS.check(found)
    listed: list[dict[str, Any]] = found.to_pylist()
    assert differences("stock_gaps", listed, gaps_of(as_arrow(STOCK_LEDGER, rows).to_pylist())) == []
    return listed


def test_a_delivery_with_all_its_columns(connection: duckdb.DuckDBPyConnection) -> None:
    # Ten units at 3.00 came to two at 2.40: a moving average of 2.90.
    assert gaps(connection, row(9, 2, "2.4", 12, "2.9")) == [
        {
            "venue_id": 1,
            "storage_id": 3,
            "stock_id": 5501,
            "ledger_date": date(2026, 1, 19),
            "product_id": 501,
            "product_name": "Düyü",
            "gaps": 1,
            "inflow_quantity": Decimal(10),
            "inflow_value": Decimal(30),
            "outflow_quantity": Decimal(0),
            "outflow_value": Decimal(0),
            "revaluation": Decimal(0),
            "implied_unit_price": pytest.approx(3.0, rel=1e-12, abs=0),
        }
    ]


def test_a_loss_is_positive(connection: duckdb.DuckDBPyConnection) -> None:
    (found,) = gaps(connection, row(9, 5, 2, "4.5", 2))
    assert pick([found], QUANTITIES) == [(0, Decimal("0.5"))]
    assert pick([found], VALUES) == [(0, 1, 0)]
    assert found["implied_unit_price"] is None


def test_a_loss_that_raised_the_value_is_negative(connection: duckdb.DuckDBPyConnection) -> None:
    (found,) = gaps(connection, row(9, 5, 2, 4, 3))
    assert pick([found], VALUES) == [(0, -2, 0)]


def test_a_revaluation(connection: duckdb.DuckDBPyConnection) -> None:
    (found,) = gaps(connection, row(9, 5, 2, 5, "2.25"), row(10, 5, 2, 5, 1))
    assert pick([found], QUANTITIES) == [(0, 0)]
    assert pick([found], f"{VALUES} gaps") == [(0, 0, Decimal("-3.75"), 2)]
    assert found["implied_unit_price"] is None


def test_no_gap_no_row(connection: duckdb.DuckDBPyConnection) -> None:
    first, without_cost = row(8, None, None, 5, 2), row(10, 5, 2, 5, None)
    assert gaps(connection, first, row(9, 5, 2, 5, 2), without_cost) == []


def test_in_and_out_of_a_day_are_not_netted(connection: duckdb.DuckDBPyConnection) -> None:
    rows = gaps(connection, row(9, 0, 2, 10, 2), row(10, 9, 2, 5, 2), row(11, 4, 2, 7, 4), row(12, 6, 4, 6, 5))
    assert pick(rows, f"gaps {QUANTITIES} {VALUES}") == [(4, 13, 4, 20 + 20, 8, 6)]
    assert rows[0]["implied_unit_price"] == pytest.approx(40 / 13, rel=1e-12, abs=0)


def test_by_venue_storage_stock_and_ledger_date(connection: duckdb.DuckDBPyConnection) -> None:
    late = datetime(2026, 1, 20, 0, 0)
    rows = gaps(
        connection,
        row(9, 0, 1, 1, 1),
        row(10, 0, 1, 2, 1, operated_at=late),
        row(11, 0, 1, 4, 1, stock_id=5500),
        row(12, 0, 1, 8, 1, storage_id=2),
        row(13, 0, 1, 16, 1, venue_id=2),
        row(14, 0, 1, 32, 1, operated_at=datetime(2026, 1, 19, 23, 59, 59)),
    )
    assert pick(rows, "venue_id storage_id stock_id ledger_date inflow_quantity") == [
        (1, 2, 5501, NOON.date(), 8),
        (1, 3, 5500, NOON.date(), 4),
        (1, 3, 5501, NOON.date(), 33),
        (1, 3, 5501, late.date(), 2),
        (2, 3, 5501, NOON.date(), 16),
    ]


def test_the_name_is_of_the_greatest_id(connection: duckdb.DuckDBPyConnection) -> None:
    rows = gaps(
        connection,
        row(11, 0, 1, 1, 1, product_name="New"),
        row(10, 0, 1, 1, 1, product_name="Old"),
        row(12, 0, 1, 0, 1, product_name="No gap"),
    )
    assert pick(rows, "product_name gaps") == [("New", 2)]


@pytest.mark.parametrize(
    ("after", "before", "before_cost", "price"),
    [
        ("0", "10", "3", 3.0),
        ("-0.000001", "10", "3", None),
        ("-5", "-1", "3", None),
        ("-5", "0", "3", None),
        ("4", "10", None, None),
        ("4", "4.000003", "2.000001", 3.333334333),
    ],
)
def test_the_price_is_not_guessed(
    connection: duckdb.DuckDBPyConnection, after: str, before: str, before_cost: str | None, price: float | None
) -> None:
    (found,) = gaps(connection, row(9, after, "2", before, before_cost))
    assert found["inflow_quantity"] == Decimal(before) - Decimal(after)
    if price is None:
        assert found["implied_unit_price"] is None
    else:
        # From unrounded products: a small inflow does not lose its price to the rounding of its value.
        assert found["implied_unit_price"] == pytest.approx(price, rel=1e-9, abs=0)


def test_one_guess_among_inflows_is_enough_and_others_do_not_matter(connection: duckdb.DuckDBPyConnection) -> None:
    good, loss, revaluation = row(9, 0, 1, 5, 3), row(10, "-3", 1, "-4", 1), row(10, "-3", 1, "-3", 2)
    for other in (loss, revaluation):
        assert gaps(connection, good, other)[0]["implied_unit_price"] == pytest.approx(3.0)
    assert gaps(connection, good, row(11, "-3", 1, 5, 1))[0]["implied_unit_price"] is None


def test_a_value_that_is_unknown_is_not_0(connection: duckdb.DuckDBPyConnection) -> None:
    known, unknown = row(9, 0, 1, 5, 3), row(10, 4, 1, 10, None)
    assert pick(gaps(connection, known, unknown), f"inflow_quantity {VALUES}") == [(11, None, 0, 0)]
    assert pick(gaps(connection, known, row(10, 4, 1, 3, None)), f"outflow_quantity {VALUES}") == [(1, 15, None, 0)]
    losses = row(11, 5, 2, 4, 2), row(12, 4, 1, 3, None)
    assert pick(gaps(connection, *losses), f"outflow_quantity {VALUES}") == [(2, 0, None, 0)]


def test_sums_of_seventeen_digits(connection: duckdb.DuckDBPyConnection) -> None:
    rows = gaps(connection, *(row(9 + i, 0, 1, "12345678901.123457", 1) for i in range(7)))
    assert pick(rows, "inflow_quantity inflow_value") == [(Decimal("86419752307.864199"),) * 2]
    with pytest.raises(ContractError, match=r"^stock_gaps: a figure is too large for its column"):
        gaps(connection, *(row(9 + i, 0, 1, "600000000000", 1) for i in range(2)))


@pytest.mark.parametrize("seed", range(4))
def test_a_random_world(tmp_path: Path, connection: duckdb.DuckDBPyConnection, seed: int) -> None:
    """Against the oracle, and per stock Σ (in − out) − Σ deductions = last after − first before."""
    lake = Lake(tmp_path)
    world = small_world(seed, events=80)
    for items in world.operations.values():
        for item in items:  # where an operation itself adds up
            item["after_quantity"] = item["before_quantity"] - item["quantity"]
    world.file(lake)
    make(lake, connection, *world.days)
    net: dict[int, Decimal] = defaultdict(Decimal)
    ledger: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for day, expected in world.expected(world.days).items():
        found = compute(lake, connection, STOCK_GAPS, day, Rules()).to_pylist()
        assert differences("stock_gaps", found, gaps_of(expected)) == [], day
        for gap in found:
            net[gap["stock_id"]] += gap["inflow_quantity"] - gap["outflow_quantity"]
        for entry in expected:
            ledger[entry["stock_id"]].append(entry)
    assert len(ledger) == 3
    for stock, rows in ledger.items():
        rows.sort(key=lambda entry: (entry["operated_at"], entry["stock_operation_id"]))
        deducted = sum(entry["quantity"] for entry in rows)
        assert net[stock] - deducted == rows[-1]["after_quantity"] - rows[0]["before_quantity"]
