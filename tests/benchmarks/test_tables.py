"""The measuring itself, at a size that says nothing of speed."""

from pathlib import Path

import duckdb
import pytest

from clopos_assets.compute import query_of, select
from clopos_assets.database import connect
from clopos_assets.lake import Lake
from clopos_assets.tables import INGREDIENT_USAGE, LINE_COGS, RECIPE_OBSERVED
from tests.benchmarks.made_up import make_day
from tests.benchmarks.tables import (
    MEASURED,
    RULES,
    SHIFT_DATE,
    columns_read,
    days_of,
    file_inputs,
    inputs_of,
    main,
    make_lake,
    measure,
    measure_days,
    quiet,
    show,
)


def test_every_table_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_lake(tmp_path, 2000)
    for table in MEASURED:
        figure = measure(tmp_path, 1, table)
        assert figure.summed.passed > 0
        assert figure.rows or table.name in {"stock_gaps", "variance_findings"}
        show(figure)
        assert capsys.readouterr().out.split()[0] == figure.table == table.name


def test_many_shift_dates_are_measured(tmp_path: Path) -> None:
    days = days_of(120, 40)
    assert days == ["2026-01-30", "2026-01-31", "2026-02-01"]
    file_inputs(tmp_path, 40, days)
    figures = {table.name: measure_days(tmp_path, 1, table, days) for table in MEASURED}
    assert 9 <= figures["line_cogs"].rows <= 120
    assert all(figure.summed.passed > 0 for figure in figures.values())


def test_the_command_measures_a_large_date_and_many_ordinary_ones(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    sizes = "--operations 100 --in-days 80 --per-day 40 --repeats 1 --tables line_cogs"
    monkeypatch.setattr("sys.argv", ["tables", *sizes.split()])
    main()
    told = capfd.readouterr().out
    assert [line.split(";")[0] for line in told.splitlines() if " operations as " in line] == [
        "100 operations as one shift date",
        "80 operations as 2 shift dates, made one by one and written",
    ]
    assert told.count("line_cogs") == 2


def test_several_large_dates_are_measured_together(tmp_path: Path) -> None:
    days = days_of(900, 300)
    make_lake(tmp_path, 300, days)
    one, three = (measure(tmp_path, 1, INGREDIENT_USAGE, dates) for dates in (days[-1:], days))
    assert one.rows < three.rows


def test_a_large_date_gives_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_lake(tmp_path, 600)
    with connect() as connection:
        inputs = inputs_of(connection, Lake(tmp_path), LINE_COGS)
        small = select(connection, LINE_COGS, inputs)
        for bound in ("MANY_OPERATIONS", "_VERY_MANY_OPERATIONS"):
            monkeypatch.setattr(f"clopos_assets.compute.querying.{bound}", 100)
            assert select(connection, LINE_COGS, inputs).equals(small)


def test_made_up_operations_add_up() -> None:
    with duckdb.connect() as connection:
        operations = make_day(connection, 5000, "2026-01-02")["stock_operations"]
        assert 4800 < len(operations) <= 5000
        wrong = connection.from_arrow(operations).filter(
            "before_quantity - quantity <> after_quantity or abs(quantity * cost - total_cost) > 0.000001"
        )
        assert wrong.fetchall() == []


def test_summed_is_what_a_query_reads_of_each_input(tmp_path: Path) -> None:
    make_lake(tmp_path, 200)
    with connect() as connection:
        quiet(connection)
        values = RULES.values(SHIFT_DATE)
        read = {
            table.name: columns_read(connection, inputs_of(connection, Lake(tmp_path), table), query_of(table), values)
            for table in (LINE_COGS, RECIPE_OBSERVED)
        }
    assert read["line_cogs"]["stock_operations"] == ["receipt_id", "receipt_product_id", "total_cost"]
    assert {"product_name", "portion_size"} < set(read["line_cogs"]["receipt_products"])
    # An input of the same name in the window is another one, with columns of its own.
    assert "shift_date" in read["recipe_observed"]["trailing_recipe_observed"]
    assert "product_name" in read["recipe_observed"]["stock_operations"]
