"""The golden period through decoding, the lake, the SQL and the oracle: the same tables to the last decimal."""

from decimal import Decimal
from pathlib import Path

import pytest

from clopos_assets.compute import Rules, compute, select
from clopos_assets.database import connect
from clopos_assets.lake import Lake
from clopos_assets.tables import COST, TABLES
from tests.golden.period import DAYS, OPERATIONS, RECEIPTS, assert_golden, expected_rows
from tests.oracle import cost_tables, differences, raw_tables
from tests.tables.decoding import raw_arrow

TABLE_NAMES = [table.name for table in COST]


@pytest.mark.parametrize("shift_date", DAYS)
def test_decoded_answers_give_the_worked_tables(shift_date: str) -> None:
    inputs = raw_arrow(DAYS[shift_date], OPERATIONS)
    with connect() as connection:
        for table in COST:
            inputs[table.name] = select(connection, table, {name: inputs[name] for name in table.inputs})
            table.check(inputs[table.name])
            assert_golden(table.name, shift_date, inputs[table.name].to_pylist())


def test_the_way_through_the_lake_changes_nothing(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    for shift_date, receipts in DAYS.items():
        for name, rows in raw_arrow(receipts, OPERATIONS).items():
            lake.replace(TABLES[name], shift_date, rows, {})
        expected = raw_tables(receipts, OPERATIONS)
        for name, wanted in expected.items():
            stored = lake.read(TABLES[name], shift_date)
            assert stored is not None
            assert differences(name, stored.to_pylist(), wanted) == []
    with connect() as connection:
        for shift_date in DAYS:
            for table in COST:
                lake.replace(table, shift_date, compute(lake, connection, table, shift_date, Rules()), {})
                stored = lake.read(table, shift_date)
                assert stored is not None
                assert_golden(table.name, shift_date, stored.to_pylist())


@pytest.mark.parametrize("table", TABLE_NAMES)
@pytest.mark.parametrize("shift_date", DAYS)
def test_the_oracle_gives_the_worked_tables(shift_date: str, table: str) -> None:
    assert_golden(table, shift_date, cost_tables(DAYS[shift_date], OPERATIONS)[table])


def test_a_difference_in_the_last_decimal_is_seen() -> None:
    shift_date = "2026-01-21"
    rows = cost_tables(DAYS[shift_date], OPERATIONS)["line_cogs"]
    wrong = [{**row, "net_sales": row["net_sales"] + Decimal("0.000001")} for row in rows]
    found = differences("line_cogs", wrong, expected_rows("line_cogs", shift_date))
    assert found == [
        "line_cogs[receipt_product_id 10] net_sales: got Decimal('26.000001'), expected Decimal('26')",
        "line_cogs[receipt_product_id 11] net_sales: got Decimal('1.625001'), expected Decimal('1.625')",
        "line_cogs[receipt_product_id 12] net_sales: "
        "got Decimal('12345678901.123457'), expected Decimal('12345678901.123456')",
    ]


def test_the_period_holds_what_it_says() -> None:
    assert list(DAYS) == ["2026-01-19", "2026-01-20", "2026-01-21"]
    assert len(RECEIPTS) == 10
    assert all(expected_rows(table, shift_date) for table in TABLE_NAMES for shift_date in DAYS)
