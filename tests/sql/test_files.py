"""The SQL files against the declarations, both ways, and the rules of style that a machine can hold."""

import re
from importlib.resources import files
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import duckdb
import pyarrow as pa
import pytest

import clopos_assets.compute.making
from clopos_assets.compute import ComputeError, Rules, compute, open_partition, query_of, select
from clopos_assets.lake import Lake, LakeError
from clopos_assets.tables import (
    FINDING_HISTORY,
    LINE_COGS,
    RAW,
    RECEIPT_PRODUCTS,
    RECEIPTS,
    RECIPE_OBSERVED,
    STOCK_OPERATIONS,
    TABLES,
    Column,
    ContractError,
    Kind,
    Table,
)
from tests.lake.sample import DAY, OTHER_DAY, operations
from tests.sql.day import as_arrow, line, receipt

VALUES = Rules().values("2026-01-19")
FOLDER = Path(str(files("clopos_assets") / "sql"))
DERIVED = [table for table in TABLES.values() if table.group != "raw" and table is not FINDING_HISTORY]
"""All tables made by SQL; the history of findings is a matter of two states of one of them."""
BESIDES = {"stock_ledger": {"other_operations": STOCK_OPERATIONS.schema}}
"""What a table's SQL reads besides its inputs: operations of other shift dates, chosen for it."""
DATED = pa.field("shift_date", pa.date32())
every_file = pytest.mark.parametrize("table", DERIVED, ids=lambda table: table.name)


def empty_inputs(table: Table) -> dict[str, pa.Table]:
    inputs = {name: TABLES[name].schema.empty_table() for name in table.inputs}
    inputs |= {f"trailing_{name}": TABLES[name].schema.append(DATED).empty_table() for name in table.trailing}
    return inputs | {name: schema.empty_table() for name, schema in BESIDES.get(table.name, {}).items()}


def views(table: Table) -> set[str]:
    return {*table.inputs, *(f"trailing_{name}" for name in table.trailing), *BESIDES.get(table.name, {})}


def body_of(table: Table) -> str:
    """The query without its header."""
    return re.sub(r"\A(--[^\n]*\n)+", "", query_of(table))


def test_there_is_a_file_for_every_derived_table_and_no_other() -> None:
    found = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()}
    declared = {f"{table.group}/{table.name}.sql" for table in DERIVED}
    assert {"missing": declared - found, "extra": found - declared} == {"missing": set(), "extra": set()}


@every_file
def test_the_result_is_as_declared(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Names and order exactly; types too, but that a sum of decimals may be wider before it is checked to fit."""
    inputs = empty_inputs(table)
    for name, rows in inputs.items():
        connection.register(name, rows)
    values = {name: value for name, value in VALUES.items() if f"${name}" in query_of(table)}
    try:
        relation = connection.sql(query_of(table), params=values)
        assert relation is not None
        result = relation.to_arrow_table()
    finally:
        for name in inputs:
            connection.unregister(name)
    assert result.column_names == list(table.names)
    wrong = [
        f"{field.name}: {field.type}, declared is {declared.type}"
        for field, declared in zip(result.schema, table.schema, strict=True)
        if field.type != declared.type and not (pa.types.is_decimal(field.type) and field.type.scale == 6)
    ]
    assert wrong == []
    decimals = {column.name for column in table.columns if column.kind is Kind.DECIMAL}
    assert {field.name for field in result.schema if pa.types.is_decimal(field.type)} == decimals


@every_file
def test_no_rows_give_no_rows_of_the_declared_types(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    rows = select(connection, table, empty_inputs(table), VALUES)
    assert rows.schema.equals(table.schema)
    assert rows.num_rows == 0


@every_file
def test_the_header_gives_grain_and_inputs(table: Table) -> None:
    first, second, third, *_ = query_of(table).splitlines()
    assert first == f"-- {table.name}: {table.grain}"
    assert second == f"-- inputs: {', '.join(table.inputs)} of one shift date"
    if table.trailing:
        assert third == f"-- trailing: {', '.join(table.trailing)} of the standard window"


@every_file
def test_every_input_is_read(table: Table) -> None:
    body = re.sub(r"--.*|'[^']*'", "", body_of(table))
    read = set(re.findall(r"\b(?:from|join|union all by name from) (\w+)", body)) - {"from"}
    ctes = set(re.findall(r"\b(\w+) as (?:not materialized )?\(\n", body))
    assert read == views(table) | ctes, "reads what it does not declare, or has a step that nothing reads"


@every_file
def test_style(table: Table) -> None:
    query = query_of(table)
    body = body_of(table)
    code = re.sub(r"--.*|'[^']*'", "", body)
    assert code == code.lower(), "key words and names are lower case"
    assert not re.search(r"group by (all|\d)", code), "groups by names"
    assert not re.search(r"order by (all|\d)", code), "orders by names"
    assert not re.search(r"^\s*,", code, re.MULTILINE), "commas trail"
    assert not re.search(r"\b(float|double|real)\b", code), "money stays DECIMAL until a ratio"
    assert not re.search(r"\bavg\b", code), "avg on DECIMAL gives DOUBLE"
    assert ";" not in code, "one select"
    assert "\t" not in query
    assert not re.search(r"[ ]+$", query, re.MULTILINE)
    assert query.endswith("\n")
    assert max(map(len, query.splitlines())) <= 120
    final = re.split(r"^\)$|^\),$", code, flags=re.MULTILINE)[-1]
    assert not re.search(r"select\s+(\w+\.)?\*", final), "no select * past the import CTEs"
    columns = re.search(r"^select\n(.*?)\nfrom ", final, re.MULTILINE | re.DOTALL)
    assert columns is not None
    assert all(
        text.endswith(",")
        for text in columns.group(1).splitlines()
        if text.startswith("    ") and text[4] != " " and text.strip() != "case" and not text.strip().startswith("--")
    )


def test_rows_come_by_key(connection: duckdb.DuckDBPyConnection) -> None:
    lines = as_arrow(RECEIPT_PRODUCTS, [line(id_, 1) for id_ in (13, 11, 12)])
    inputs = empty_inputs(LINE_COGS) | {"receipts": as_arrow(RECEIPTS, [receipt(1)]), "receipt_products": lines}
    assert select(connection, LINE_COGS, inputs).column("receipt_product_id").to_pylist() == [11, 12, 13]


def test_a_result_in_other_columns_is_refused(connection: duckdb.DuckDBPyConnection) -> None:
    """A declaration that the SQL does not follow."""
    columns = (*LINE_COGS.columns, Column("added", Kind.WHOLE, "Not in the SQL"))
    table = Table("line_cogs", "cost", "", LINE_COGS.key, "", columns, LINE_COGS.inputs)
    with pytest.raises(ContractError, match=r"^line_cogs: its SQL gives .*, declared are .*'added'"):
        select(connection, table, empty_inputs(table))


@pytest.mark.parametrize("as_text", [False, True])
def test_a_select_leaves_nothing_behind(connection: duckdb.DuckDBPyConnection, tmp_path: Path, as_text: bool) -> None:
    def views() -> list[tuple[str, ...]]:
        query = (
            "select view_name from duckdb_views() where not internal union all select table_name from duckdb_tables()"
        )
        return connection.execute(query).fetchall()

    inputs: dict[str, object] = dict(empty_inputs(LINE_COGS))
    if as_text:
        lake = Lake(tmp_path)
        for table in RAW:
            lake.replace(table, "2026-01-19", table.schema.empty_table(), {})
            inputs[table.name] = open_partition(lake, table, "2026-01-19")
            assert isinstance(inputs[table.name], str)
    before = views()
    select(connection, LINE_COGS, inputs)
    with pytest.raises(ContractError):
        select(connection, Table("line_cogs", "cost", "", (), "", (), ()), inputs)
    with pytest.raises(duckdb.Error):
        select(connection, LINE_COGS, inputs | {"stock_operations": "from read_parquet('/nowhere')"})
    assert views() == before
    with pytest.raises(duckdb.CatalogException):
        connection.execute("select * from stock_operations")


def test_a_missing_input_is_named(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.replace(RECEIPTS, "2026-01-19", RECEIPTS.schema.empty_table(), {})
    with pytest.raises(ComputeError) as caught:
        compute(lake, connection, LINE_COGS, "2026-01-19", Rules())
    assert str(caught.value) == (
        "receipt_products of shift date 2026-01-19 is not materialized: materialize it first, or together"
    )


@pytest.fixture
def day_and_window(tmp_path: Path) -> Lake:
    """What `recipe_observed` is made from, of a date and of the one before."""
    lake = Lake(tmp_path)
    for table in (*RAW, LINE_COGS):
        lake.replace(table, OTHER_DAY, table.schema.empty_table(), {})
    lake.replace(STOCK_OPERATIONS, OTHER_DAY, operations(300), {})
    lake.replace(RECIPE_OBSERVED, DAY, RECIPE_OBSERVED.schema.empty_table(), {})
    return lake


@pytest.mark.parametrize(("table", "shift_date"), [(STOCK_OPERATIONS, OTHER_DAY), (RECIPE_OBSERVED, DAY)])
def test_a_damaged_input_is_named(
    connection: duckdb.DuckDBPyConnection, day_and_window: Lake, table: Table, shift_date: str
) -> None:
    path = day_and_window.path(table, shift_date)
    whole = path.read_bytes()
    if table is STOCK_OPERATIONS:  # within its pages, which no look at the footer shows
        path.write_bytes(whole[:4] + bytes(len(whole) // 3 - 4) + whole[len(whole) // 3 :])
    else:
        path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LakeError) as caught:
        compute(day_and_window, connection, RECIPE_OBSERVED, OTHER_DAY, Rules())
    told = str(caught.value)
    assert told.startswith(f"{path} can't be read (")
    removed = "remove it and " if table is STOCK_OPERATIONS else ""
    assert told.endswith(f"): {removed}make {shift_date} again")


def compute_over_halves(
    connection: duckdb.DuckDBPyConnection, lake: Lake, path: Path, most: int
) -> tuple[pa.Table, int]:
    """The recipes, while a file is found cut in half so many times at most, and how often they were selected."""
    whole = path.read_bytes()
    tries = 0

    def disturbed(*arguments: Any, **more: Any) -> pa.Table:
        nonlocal tries
        tries += 1
        if tries <= most:
            path.write_bytes(whole[: len(whole) // 2])
        try:
            return select(*arguments, **more)
        finally:
            path.write_bytes(whole)

    with patch.object(clopos_assets.compute.making, "select", disturbed):
        return compute(lake, connection, RECIPE_OBSERVED, OTHER_DAY, Rules()), tries


@pytest.mark.parametrize(
    ("table", "shift_date", "most"),
    [(STOCK_OPERATIONS, OTHER_DAY, 1), (RECIPE_OBSERVED, DAY, 1), (RECIPE_OBSERVED, DAY, 10)],
    ids=["input", "window", "window whenever it is read"],
)
def test_what_is_replaced_while_duckdb_reads_it_is_read_again(
    connection: duckdb.DuckDBPyConnection, day_and_window: Lake, table: Table, shift_date: str, most: int
) -> None:
    expected = compute(day_and_window, connection, RECIPE_OBSERVED, OTHER_DAY, Rules())
    path = day_and_window.path(table, shift_date)
    assert compute_over_halves(connection, day_and_window, path, most) == (expected, 2)


def test_what_takes_more_memory_than_there_is_is_not_tried_again(
    connection: duckdb.DuckDBPyConnection, day_and_window: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = Mock(side_effect=duckdb.OutOfMemoryException("could not allocate"))
    monkeypatch.setattr(clopos_assets.compute.making, "select", refused)
    with pytest.raises(duckdb.OutOfMemoryException):
        compute(day_and_window, connection, RECIPE_OBSERVED, OTHER_DAY, Rules())
    assert refused.call_count == 1
