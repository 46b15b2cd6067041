"""Random small days: the SQL agrees with the oracle, the order of rows does not matter, the totals tie together."""

import copy
from collections.abc import Sequence
from decimal import Decimal
from random import Random
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle import cost_tables, differences
from tests.sql.day import cost_rows
from tests.tables.decoding import raw_arrow

Json = dict[str, Any]
Answers = tuple[list[Json], dict[int, list[Json]]]

reproducibly = settings(derandomize=True, deadline=None, database=None, max_examples=50)

NAMES = st.sampled_from(["Plov", "Cola", "Çay", None])
TIMES = st.sampled_from([None, None, None, None, None, "2026-01-19 12:00:00"])
# Few values, so that sums cancel and products meet halves; now and then a large one with all its digits.
AMOUNTS = st.one_of(
    st.sampled_from(["0", "1", "-1", "0.5", "3.25", "0.1", "0.000001", "-0.000003", "2.500005"]).map(Decimal),
    st.decimals(min_value="-1000", max_value="1000", places=6),
    st.sampled_from(["12345678901.123456", "-9999999999.999999"]).map(Decimal),
)
COUNTS = st.sampled_from(["0", "1", "-1", "2", "0.5", "0.000001", "0.000003", "150", "-0.000005"]).map(Decimal)
PORTIONS = st.none() | st.sampled_from(["0", "1", "0.5", "2.5", "8000", "0.333333"]).map(Decimal)
FLAGS = st.sampled_from([False, True, None, 0, 1])


@st.composite
def days(draw: st.DrawFn) -> Answers:
    """The receipts of a shift date, closed and not, and the operations of the closed ones."""
    receipts: list[Json] = []
    operations: dict[int, list[Json]] = {}
    line_id = operation_id = 0
    for receipt_id in range(1, draw(st.sampled_from(range(6))) + 1):
        lines = []
        for _ in range(draw(st.sampled_from(range(4)))):
            line_id += 1
            lines.append(
                {
                    "id": line_id,
                    "product_id": draw(st.integers(10, 12)),
                    "count": draw(COUNTS),
                    "portion_size": draw(PORTIONS),
                    "total": draw(AMOUNTS),
                    "is_gift": draw(FLAGS),
                    "deleted_at": draw(TIMES),
                    "meta": {"product": {"name": draw(NAMES), "type": draw(NAMES)}},
                }
            )
        receipts.append(
            {
                "id": receipt_id,
                "venue_id": draw(st.integers(1, 2)),
                "sale_type_id": draw(st.none() | st.integers(1, 3)),
                "status": draw(st.sampled_from([2, 2, 2, 2, 1, 3])),
                "deleted_at": draw(TIMES),
                "is_returns": draw(FLAGS),
                "total": draw(AMOUNTS),
                "i_tax": draw(st.none() | AMOUNTS),
                "created_at": "2026-01-19 12:00:00",
                "updated_at": "2026-01-19 12:00:00",
                "shift_date": "2026-01-19",
                "receipt_products": lines,
            }
        )
        answer = []
        own = [line["id"] for line in lines]
        targets = [*own, *own, *own[:1], *own[:1], line_id + 1, max(line_id - len(own), 1), None]
        for _ in range(draw(st.sampled_from(range(5)))):
            operation_id += 1
            product, storage = draw(st.integers(501, 502)), draw(st.integers(3, 4))
            answer.append(
                {
                    "id": operation_id,
                    "receipt_id": receipt_id,
                    # Mostly a line of this receipt, at times one of an earlier receipt, of none, or nothing.
                    "receipt_product_id": draw(st.sampled_from(targets)),
                    "product_id": product,
                    "stock_id": product * 10 + storage,
                    "storage_id": storage,
                    "quantity": draw(AMOUNTS),
                    "before_quantity": draw(AMOUNTS),
                    "after_quantity": Decimal(0),
                    "cost": Decimal(0),
                    "total_cost": draw(AMOUNTS),
                    "operated_at": "2026-01-19 12:00:00",
                    "product": {"id": product, "name": draw(NAMES)},
                    "stock": {"id": 1, "storage": {"id": storage, "name": draw(NAMES)}},
                }
            )
        operations[receipt_id] = answer
    return receipts, operations


def shuffled(rows: pa.Table, random: Random) -> pa.Table:
    order = list(range(rows.num_rows))
    random.shuffle(order)
    return rows.take(pa.array(order, type=pa.int64()))


@reproducibly
@given(days())
def test_the_sql_agrees_with_the_oracle(connection: duckdb.DuckDBPyConnection, answers: Answers) -> None:
    receipts, operations = answers
    got = cost_rows(connection, raw_arrow(receipts, operations))
    expected = cost_tables(receipts, operations)
    found = [text for table, rows in expected.items() for text in differences(table, got[table], rows)]
    assert found == []
    assert got.keys() == expected.keys()
    for table, rows in expected.items():
        assert [list(row) for row in got[table]] == [list(row) for row in rows]


@reproducibly
@given(days(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(
    connection: duckdb.DuckDBPyConnection, answers: Answers, random: Random
) -> None:
    raw = raw_arrow(*answers)
    in_order = cost_rows(connection, raw)
    in_disorder = cost_rows(connection, {name: shuffled(rows, random) for name, rows in raw.items()})
    # Equal to the last bit, ratios too: they come from exact sums.
    assert in_disorder == in_order


def sums_of_venues(rows: Sequence[Json], column: str) -> dict[int, Decimal]:
    sums: dict[int, Decimal] = {}
    for row in rows:
        sums[row["venue_id"]] = sums.get(row["venue_id"], Decimal(0)) + row[column]
    return sums


@reproducibly
@given(days())
def test_cost_of_goods_is_the_same_by_line_day_and_ingredient(
    connection: duckdb.DuckDBPyConnection, answers: Answers
) -> None:
    tables = cost_rows(connection, raw_arrow(*answers))
    by_line = sums_of_venues(tables["line_cogs"], "cogs")
    by_ingredient = sums_of_venues(tables["ingredient_usage"], "total_cost")
    by_product = sums_of_venues(tables["product_cogs"], "cogs")
    assert {*by_line, *by_ingredient} <= {row["venue_id"] for row in tables["daily_cogs"]}
    for row in tables["daily_cogs"]:
        venue = row["venue_id"]
        assert row["cogs"] == by_line.get(venue, 0) + row["unassigned_cogs"]
        assert row["cogs"] == by_ingredient.get(venue, 0)
        assert by_product.get(venue, 0) == by_line.get(venue, 0)
        assert row["gross_profit"] == row["net_sales"] - row["cogs"]


@reproducibly
@given(days())
def test_products_add_up_to_the_venues_day(connection: duckdb.DuckDBPyConnection, answers: Answers) -> None:
    tables = cost_rows(connection, raw_arrow(*answers))
    for column in ("net_sales", "gross_profit", "units_sold", "lines"):
        of_products = sums_of_venues(tables["product_cogs"], column)
        if column in ("net_sales", "lines"):
            of_days = {row["venue_id"]: row[column] for row in tables["daily_cogs"]}
            assert of_days.keys() >= of_products.keys()
            assert all(of_days[venue] == of_products.get(venue, 0) for venue in of_days)
        if column != "lines":
            assert of_products == sums_of_venues(tables["line_cogs"], column)


MONEY = {
    "cogs",
    "estimated_cogs",
    "gift_cogs",
    "gross_profit",
    "inclusive_tax",
    "net_sales",
    "receipts_total",
    "total_cost",
    "unassigned_cogs",
    "undeducted_sales",
    "unit_cost",
}


@reproducibly
@given(days(), st.integers(2, 7))
def test_money_times_a_whole_number_scales_money_and_nothing_else(
    connection: duckdb.DuckDBPyConnection, answers: Answers, times: int
) -> None:
    plain = cost_rows(connection, raw_arrow(*answers))
    receipts, operations = copy.deepcopy(answers)
    for receipt in receipts:
        receipt["total"] *= times
        receipt["i_tax"] = None if receipt["i_tax"] is None else receipt["i_tax"] * times
        for line in receipt["receipt_products"]:
            line["total"] *= times
    for operation in (operation for answer in operations.values() for operation in answer):
        operation["total_cost"] *= times
    scaled = cost_rows(connection, raw_arrow(receipts, operations))
    for table, rows in plain.items():
        expected = [
            {name: value * times if name in MONEY and value is not None else value for name, value in row.items()}
            for row in rows
        ]
        assert differences(table, scaled[table], expected) == []


def test_the_days_hold_the_cases_that_matter() -> None:
    """The strategy is worth as much as the cases it meets."""
    met: dict[str, int] = {}

    @reproducibly
    @given(days())
    def count(answers: Answers) -> None:
        receipts, operations = answers
        tables = cost_tables(receipts, operations)
        daily, lines = tables["daily_cogs"], tables["line_cogs"]
        cases = {
            "two venues": len(daily) == 2,
            "open receipt": any(receipt["status"] == 1 for receipt in receipts),
            "no lines": any(row["lines"] == 0 for row in daily),
            "unassigned": any(row["unassigned_cogs"] for row in daily),
            "undeducted": any(row["undeducted_lines"] for row in daily),
            "estimated": any(row["estimated_cogs"] for row in daily),
            "gift": any(row["gift_cogs"] for row in daily),
            "no percentage": any(row["food_cost_pct"] is None for row in daily),
            "several operations": any(line["deductions"] > 1 for line in lines),
            "return": any(line["is_return"] for line in lines),
            "no name": any(line["product_name"] is None for line in lines),
            "deleted line": any(line["deleted_at"] for receipt in receipts for line in receipt["receipt_products"]),
        }
        for name, is_met in cases.items():
            met[name] = met.get(name, 0) + is_met

    count()
    assert [name for name, times in met.items() if times < 3] == []


@pytest.mark.parametrize("swap", ["net_sales", "cogs"])
def test_the_comparison_sees_a_wrong_figure(connection: duckdb.DuckDBPyConnection, swap: str) -> None:
    receipt: Json = {"id": 1, "venue_id": 1, "status": 2, "total": Decimal(5), "shift_date": "2026-01-19"}
    receipt |= {"created_at": "2026-01-19 12:00:00", "updated_at": "2026-01-19 12:00:00"}
    receipt |= {"receipt_products": [{"id": 1, "product_id": 10, "count": 1, "total": Decimal(5)}]}
    got = cost_rows(connection, raw_arrow([receipt], {}))
    assert differences("line_cogs", got["line_cogs"], cost_tables([receipt], {})["line_cogs"]) == []
    wrong = [{**got["line_cogs"][0], swap: Decimal("4.999999")}]
    (found,) = differences("line_cogs", wrong, cost_tables([receipt], {})["line_cogs"])
    assert found.startswith(f"line_cogs[receipt_product_id 1] {swap}: got Decimal('4.999999'), expected Decimal('")
