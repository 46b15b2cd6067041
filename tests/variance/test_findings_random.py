"""Random small days: the SQL finds what the oracle finds, and the order of rows does not matter."""

from datetime import date
from decimal import Decimal
from random import Random
from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from clopos_assets.compute import Rules, select
from clopos_assets.tables.variance import RECIPE_OBSERVED, STOCK_LEDGER
from tests.oracle import shift_dates
from tests.sql.day import as_arrow
from tests.tables.decoding import raw_arrow
from tests.variance.books import COST, Answers, dated, limits_of, oracle_days, recipe_rows, select_findings
from tests.variance.findings_oracle import SEVERITIES, Row, history_findings, ledger_rows

reproducibly = settings(derandomize=True, deadline=None, database=None, max_examples=30)

WINDOW_DAY, DAY = "2026-01-18", "2026-01-19"
RULES = Rules(money_tolerance=Decimal("0.5"), quantity_tolerance=Decimal("0.25"), cost_unit=Decimal(1))
# Few values, so that figures often agree, or differ by as much as a tolerance; at times all their digits.
AMOUNTS = st.one_of(
    st.sampled_from(["0", "1", "1.5", "2", "2.5", "2.500001", "-1", "-0.25", "-0.250001", "4", "3.333333"]).map(
        Decimal
    ),
    st.sampled_from(["1", "2", "2", "2.5"]).map(Decimal),
    st.decimals(min_value="-100000", max_value="100000", places=6),
)
POSSIBLY = st.none() | AMOUNTS
TIMES = st.sampled_from(["2026-01-19 12:00:00", "2026-01-20 05:59:59", "2026-01-20 06:00:00"])
PARTS = ("remaining", "subtotal", "total_discount", "service_charge_value", "delivery_fee", "e_tax", "totalCost")
SELDOM = st.sampled_from([False] * 9 + [True])


@st.composite
def days(draw: st.DrawFn) -> Answers:
    """Two shift dates of two venues, in which little adds up."""
    receipts: list[dict[str, Any]] = []
    operations: dict[int, list[dict[str, Any]]] = {}
    line_id = operation_id = 0
    for receipt_id in range(1, draw(st.integers(1, 9)) + 1):
        lines = []
        for _ in range(draw(st.integers(0, 2))):
            line_id += 1
            product = draw(st.integers(10, 12))
            lines.append(
                {
                    "id": line_id,
                    "product_id": product,
                    "count": draw(st.sampled_from([1, 1, 2, 0, -1])),
                    "total": draw(AMOUNTS),
                    "is_gift": draw(SELDOM),
                    "deleted_at": "2026-01-19 12:00:00" if draw(SELDOM) else None,
                    "meta": {"product": {"name": f"Dish {product}", "type": "DISH"}},
                }
            )
        receipt: dict[str, Any] = {name: draw(POSSIBLY) for name in PARTS}
        paid = [{"id": 1, "name": "Cash", "amount": draw(AMOUNTS)} for _ in range(draw(st.integers(0, 2)))]
        receipt |= {
            "id": receipt_id,
            "venue_id": draw(st.sampled_from([1, 1, 1, 2])),
            "status": draw(st.sampled_from([2, 2, 2, 2, 1])),
            "is_returns": draw(SELDOM),
            "deleted_at": "2026-01-19 12:00:00" if draw(SELDOM) else None,
            "total": draw(AMOUNTS),
            "payment_methods": paid or None,
            "created_at": "2026-01-19 12:00:00",
            "updated_at": "2026-01-19 12:00:00",
            "closed_at": draw(TIMES),
            "shift_date": draw(st.sampled_from([DAY, DAY, WINDOW_DAY])),
            "receipt_products": lines,
        }
        receipts.append(receipt)
        answer = []
        if receipt["status"] == 2 and receipt["deleted_at"] is None:
            own = [line["id"] for line in lines] or [None]
            for _ in range(draw(st.integers(0, 3))):
                operation_id += 1
                quantity, cost, before = draw(AMOUNTS), draw(AMOUNTS), draw(AMOUNTS)
                booked = (quantity * cost).quantize(Decimal("0.000001"))
                answer.append(
                    {
                        "id": operation_id,
                        "receipt_id": receipt_id,
                        "receipt_product_id": draw(st.sampled_from([*own, *own, line_id + 1])),
                        "product_id": draw(st.integers(501, 502)),
                        "stock_id": draw(st.integers(1, 2)),
                        "storage_id": 3,
                        "quantity": quantity,
                        "before_quantity": before,
                        "after_quantity": before
                        - quantity
                        + draw(st.sampled_from(["0", "0.25", "-0.250001"]).map(Decimal)),
                        "cost": cost,
                        "before_cost": draw(POSSIBLY),
                        "total_cost": draw(AMOUNTS | st.sampled_from([booked, Decimal(0)])),
                        "operated_at": draw(TIMES),
                    }
                )
        operations[receipt_id] = answer
    return receipts, operations


def inputs_of(connection: duckdb.DuckDBPyConnection, answers: Answers, random: Random) -> dict[str, pa.Table]:
    """What the SQL reads for the later of the two dates, every table in an order of its own."""
    receipts, operations = answers
    by_day = {DAY: [], WINDOW_DAY: [], **shift_dates(receipts)}
    tables = {day: raw_arrow(rows, operations) for day, rows in by_day.items()}
    for made in tables.values():
        for table in COST:
            made[table.name] = select(connection, table, {name: made[name] for name in table.inputs})
        recipes = recipe_rows(made["line_cogs"].to_pylist(), made["stock_operations"].to_pylist())
        made[RECIPE_OBSERVED.name] = as_arrow(RECIPE_OBSERVED, recipes)
    raw = {day: {"stock_operations": made["stock_operations"].to_pylist()} for day, made in tables.items()}
    today, window = tables[DAY], tables[WINDOW_DAY]
    today[STOCK_LEDGER.name] = as_arrow(STOCK_LEDGER, ledger_rows(raw)[DAY])
    for name in ("recipe_observed", "ingredient_usage"):
        today[f"trailing_{name}"] = dated(window[name], date.fromisoformat(WINDOW_DAY))
    return {name: rows.take(pa.array(shuffled(rows.num_rows, random), pa.int64())) for name, rows in today.items()}


def shuffled(count: int, random: Random) -> list[int]:
    order = list(range(count))
    random.shuffle(order)
    return order


def expected_findings(answers: Answers) -> list[Row]:
    return history_findings(oracle_days(answers), limits_of(RULES)).get(DAY, [])


@reproducibly
@given(days(), st.randoms(use_true_random=False))
def test_the_sql_finds_what_the_oracle_finds(
    connection: duckdb.DuckDBPyConnection, answers: Answers, random: Random
) -> None:
    found = select_findings(connection, inputs_of(connection, answers, random), DAY, RULES)
    wanted = {row["finding_id"]: row for row in expected_findings(answers)}
    got = {row["finding_id"]: {name: row[name] for name in row if name != "message"} for row in found}
    assert {key: got.get(key) for key in wanted} == wanted
    assert got.keys() == wanted.keys()
    assert not [row["message"] for row in found if "{" in row["message"] or not row["message"].endswith(".")]


def test_the_days_hold_the_cases_that_matter() -> None:
    """The strategy is worth as much as the cases it meets."""
    met: dict[str, int] = dict.fromkeys([*SEVERITIES, "a formula that does not fit"], 0)

    # More of them than the comparison needs: which ones come depends on the modules that are loaded beside this.
    @settings(reproducibly, max_examples=100)
    @given(days())
    def count(answers: Answers) -> None:
        rows = expected_findings(answers)
        for name in {row["check_name"] for row in rows}:
            met[name] += 1
        met["a formula that does not fit"] += any(row["receipt_id"] is None for row in rows)

    count()
    assert [name for name, times in met.items() if not times] == []
