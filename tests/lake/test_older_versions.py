"""Partitions that an older version wrote: read in today's shape, told of, and written anew when made again."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from clopos_assets.compute import Rules, compute, open_partition, registered
from clopos_assets.database import connect
from clopos_assets.ingest import answers
from clopos_assets.lake import Lake, LakeError
from clopos_assets.tables import DAILY_COGS, RECEIPT_PRODUCTS, RECEIPTS, RECIPE_OBSERVED, STOCK_OPERATIONS, Table
from clopos_assets.tables.rows import Row, RowReader
from clopos_assets.tables.shape import in_shape
from tests.assets.conftest import Project, project
from tests.ingest.conftest import shop
from tests.ingest.shop import Shop
from tests.lake.sample import DAY

__all__ = ["project", "shop"]


def rewrite(lake: Lake, table: Table, shift_date: str, rows: pa.Table) -> None:
    """Put rows in the place of a partition, in whatever shape they are; its notes stay."""
    path = lake.path(table, shift_date)
    pq.write_table(rows.replace_schema_metadata(pq.read_metadata(path).metadata), path)


def older(lake: Lake, table: Table, shift_date: str, *without: str) -> pa.Table:
    """Rewrite a partition as if some columns were not known yet, and the others stood in another order."""
    rows = lake.read(table, shift_date)
    assert rows is not None
    assert set(without) <= set(rows.column_names)
    names = [name for name in reversed(rows.column_names) if name not in without]
    rewrite(lake, table, shift_date, rows.select(names))
    return rows


def is_as_declared(lake: Lake, table: Table, shift_date: str) -> bool:
    """Whether the partition is written in today's shape."""
    partition = lake.partition(table, shift_date)
    return partition is not None and partition.has_shape


def nulled(rows: pa.Table, *names: str) -> pa.Table:
    for name in names:
        at = rows.schema.get_field_index(name)
        field = rows.schema.field(at)
        rows = rows.set_column(at, field, pa.nulls(rows.num_rows, field.type))
    return rows


def test_what_a_file_lacks_is_null(shop: Shop) -> None:
    shop.make(DAY)
    before = older(shop.lake, RECEIPTS, DAY, "fiscal_id", "guests", "payment_methods")
    assert shop.lake.read(RECEIPTS, DAY) == nulled(before, "fiscal_id", "guests", "payment_methods")
    assert shop.lake.take_older() == [
        "receipts: fiscal_id, guests, payment_methods read as NULL for shift date 2026-01-19, which an older version "
        "wrote: make it again to fill them"
    ]
    assert shop.lake.take_older() == []


def test_columns_are_given_in_the_order_asked_for(shop: Shop) -> None:
    shop.make(DAY)
    older(shop.lake, RECEIPTS, DAY, "guests")
    rows = shop.lake.read(RECEIPTS, DAY, ["total", "guests", "id"])
    assert rows is not None
    assert rows.to_pydict() == {"total": [Decimal("12.50")] * 2, "guests": [None, None], "id": [1, 2]}
    only = shop.lake.read(RECEIPTS, DAY, ["guests"])
    assert only is not None
    assert only.to_pydict() == {"guests": [None, None]}


def test_another_order_alone_is_not_worth_telling(shop: Shop) -> None:
    shop.make(DAY)
    before = older(shop.lake, RECEIPTS, DAY)
    assert not is_as_declared(shop.lake, RECEIPTS, DAY)
    assert shop.lake.read(RECEIPTS, DAY) == before
    assert shop.lake.take_older() == []


def test_a_column_that_is_no_more_is_left_out(shop: Shop) -> None:
    shop.make(DAY)
    rows = shop.lake.read(RECEIPTS, DAY)
    assert rows is not None
    rewrite(shop.lake, RECEIPTS, DAY, rows.append_column("once", pa.array(["x", "y"])))
    assert shop.lake.read(RECEIPTS, DAY) == rows


def test_a_narrower_type_is_widened(shop: Shop) -> None:
    shop.make(DAY)
    rows = shop.lake.read(RECEIPTS, DAY)
    assert rows is not None
    at = rows.schema.get_field_index("status")
    rewrite(shop.lake, RECEIPTS, DAY, rows.set_column(at, "status", pc.cast(rows.column("status"), pa.int32())))
    assert shop.lake.read(RECEIPTS, DAY) == rows


def test_what_can_not_be_brought_forward_is_one_line(shop: Shop) -> None:
    shop.make(DAY)
    older(shop.lake, RECEIPTS, DAY, "venue_id")
    with pytest.raises(
        LakeError, match=r"lacks the column venue_id, which is never NULL\): remove it and make 2026-01-19 again"
    ):
        shop.lake.read(RECEIPTS, DAY)
    rows = shop.lake.read(STOCK_OPERATIONS, DAY)
    assert rows is not None
    at = rows.schema.get_field_index("stock_id")
    rewrite(shop.lake, STOCK_OPERATIONS, DAY, rows.set_column(at, "stock_id", pa.array(["a", "b"])))
    with pytest.raises(LakeError, match="its column stock_id is string, declared is int64"):
        shop.lake.read(STOCK_OPERATIONS, DAY)


def test_queries_see_the_declared_columns(shop: Shop) -> None:
    shop.make(DAY)
    older(shop.lake, STOCK_OPERATIONS, DAY, "storage_name")
    with connect() as connection:
        rows = open_partition(shop.lake, STOCK_OPERATIONS, DAY)
        with registered(connection, {"operations": rows}):
            found = connection.execute("select id, storage_name from operations order by id").fetchall()
    assert found == [(100, None), (200, None)]


@pytest.mark.parametrize(
    "lacking",
    [
        {RECEIPTS: "payment_methods", RECEIPT_PRODUCTS: "product_name"},
        {RECEIPTS: "payment_methods"},
        {RECEIPT_PRODUCTS: "product_name"},
    ],
    ids=lambda lacking: " and ".join(table.name for table in lacking),
)
def test_making_a_date_again_fills_the_columns_of_receipts(shop: Shop, lacking: dict[Table, str]) -> None:
    shop.make(DAY)
    before = {table: older(shop.lake, table, DAY, missing) for table, missing in lacking.items()}
    receipts, _ = shop.make(DAY)
    assert shop.asked() == {"list": 1}  # the same receipts, so the same stock operations
    for table, rows in before.items():
        now = shop.lake.read(table, DAY)
        assert now is not None
        assert now.drop_columns("fetched_at") == rows.drop_columns("fetched_at")
        assert is_as_declared(shop.lake, table, DAY)
    assert receipts.facts["receipts"][DAY]["receipts_changed"] == 0


class OlderReader(RowReader):
    """Reads rows as when a column was not declared yet."""

    def __init__(self, table: Table, without: str, given: Sequence[str] = ()) -> None:
        columns = tuple(column for column in table.columns if column.name != without)
        assert len(columns) == len(table.columns) - 1
        super().__init__(replace(table, columns=columns), given)
        self._now = table

    def to_arrow(self, rows: Iterable[Row], fetched_at: datetime) -> pa.Table:
        return in_shape(self._now, super().to_arrow(rows, fetched_at), self._now.names)


def test_a_column_that_comes_makes_no_receipt_another(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has nothing in it: else all stock operations would be asked for anew."""
    with monkeypatch.context() as then:
        then.setattr(answers, "_RECEIPTS", OlderReader(RECEIPTS, "suspicion"))
        then.setattr(answers, "_LINES", OlderReader(RECEIPT_PRODUCTS, "seller_id", ("receipt_id", "venue_id")))
        shop.make(DAY)
    older(shop.lake, RECEIPTS, DAY, "suspicion")
    older(shop.lake, RECEIPT_PRODUCTS, DAY, "seller_id")
    receipts, _ = shop.make(DAY)
    assert shop.asked() == {"list": 1}
    assert receipts.facts["receipts"][DAY]["receipts_changed"] == 0
    assert is_as_declared(shop.lake, RECEIPTS, DAY)


def test_operations_are_filled_when_they_are_all_read_again(shop: Shop) -> None:
    shop.make(DAY)
    before = older(shop.lake, STOCK_OPERATIONS, DAY, "storage_name")
    assert shop.lake.read(STOCK_OPERATIONS, DAY) is not None
    assert shop.lake.take_older() == [
        "stock_operations: storage_name read as NULL for shift date 2026-01-19, which an older version wrote: "
        "make it again with `refresh: all` to fill them"
    ]
    assert shop.lake.take_older() == []
    shop.make(DAY)
    assert is_as_declared(shop.lake, STOCK_OPERATIONS, DAY)
    assert shop.lake.read(STOCK_OPERATIONS, DAY) == nulled(before, "storage_name")
    shop.make(DAY, refresh="all")
    rows = shop.lake.read(STOCK_OPERATIONS, DAY)
    assert rows is not None
    assert rows.column("storage_name").to_pylist() == ["Anbar", "Anbar"]


def test_a_partition_without_rows_gets_the_new_shape_too(shop: Shop) -> None:
    shop.make("2026-01-22")
    older(shop.lake, RECEIPTS, "2026-01-22", "guests")
    shop.make("2026-01-22")
    assert is_as_declared(shop.lake, RECEIPTS, "2026-01-22")


@pytest.mark.parametrize("shift_date", ["2026-01-18", "2026-01-19"])
def test_standards_are_set_by_what_an_older_version_wrote_too(project: Project, shift_date: str) -> None:
    """The first file of a window, whose columns DuckDB takes for those of all, and a later one."""
    lake = project.shop.lake
    assert project.run("2026-01-18", "2026-01-20").success
    older(lake, RECIPE_OBSERVED, shift_date, "quantity_per_unit", "previous_quantity_per_unit")
    lake = Lake(lake.root)
    with connect() as connection:
        rows = compute(lake, connection, RECIPE_OBSERVED, "2026-01-20", Rules())
    assert rows.num_rows
    assert [text for text in lake.take_older() if text.startswith("recipe_observed: ")]


def test_a_standard_of_a_narrower_type_narrows_no_other(project: Project) -> None:
    """DuckDB takes the types of a window's first file for those of all."""
    shop = project.shop
    for receipt_id in range(11, 20):  # more than those that the shop has
        shop.sell(receipt_id, f"2026-01-{18 + receipt_id % 3}")
        shop.deduct(receipt_id, quantity=Decimal("0.125"))
    assert project.run("2026-01-18", "2026-01-20").success
    lake = shop.lake
    rows = lake.read(RECIPE_OBSERVED, "2026-01-18")
    assert rows is not None
    at, exact = rows.schema.get_field_index("quantity_per_unit"), rows.schema.field("quantity_per_unit").type
    fewer = pc.round(rows.column(at), 2).cast(pa.decimal128(18, 2), safe=False)
    rewrite(lake, RECIPE_OBSERVED, "2026-01-18", rows.set_column(at, "quantity_per_unit", fewer))
    with connect() as connection:
        narrow = compute(Lake(lake.root), connection, RECIPE_OBSERVED, "2026-01-20", Rules())
        rewrite(lake, RECIPE_OBSERVED, "2026-01-18", rows.set_column(at, "quantity_per_unit", fewer.cast(exact)))
        wide = compute(Lake(lake.root), connection, RECIPE_OBSERVED, "2026-01-20", Rules())
    assert narrow == wide


def test_a_run_over_an_older_lake_says_so_and_writes_the_new_shape(project: Project) -> None:
    lake = project.shop.lake
    assert project.run("2026-01-19", "2026-01-20").success
    older(lake, STOCK_OPERATIONS, "2026-01-19", "storage_name")
    before = older(lake, DAILY_COGS, "2026-01-19", "food_cost_pct")
    result = project.run("2026-01-19")
    assert result.success
    said = [entry.user_message for entry in project.instance.all_logs(result.run_id)]
    assert [text for text in said if text.startswith("stock_operations: storage_name read as NULL for shift date ")]
    assert not [text for text in said if text.startswith("daily_cogs: ")]  # the run itself has filled them
    assert is_as_declared(lake, DAILY_COGS, "2026-01-19")
    assert lake.read(DAILY_COGS, "2026-01-19") == before
