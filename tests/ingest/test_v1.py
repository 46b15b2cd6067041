"""Brands on v1: operations come with the receipts, and the tables are those of v2."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clopos_assets.clopos.dialect import V1, V2
from clopos_assets.compute import Rules, compute
from clopos_assets.database import connect
from clopos_assets.sandbox import History, HistoryOptions, LimitOptions, Quirks, Sandbox, World
from clopos_assets.tables import COST, RAW, RECEIPT_PRODUCTS, RECEIPTS, STOCK_OPERATIONS, Table
from tests.ingest.shop import NOW, Shop, days_from, open_shop, operation

DAYS = ("2026-01-19", "2026-01-20")
RANGE = days_from("2026-01-12", 8)
"""The days up to the first of these."""
SOURCE = {"by id": Quirks(v1_operations="by id"), "nowhere": Quirks(v1_operations="nowhere"), "everywhere": Quirks()}


@contextmanager
def reopened(root: Path, world: World, told: str) -> Iterator[Shop]:
    """The world behind another server, which tells operations elsewhere; the lake stays the same."""
    with Sandbox(world, limits=LimitOptions.unlimited(), quirks=SOURCE[told]) as sandbox:
        yield Shop(root, sandbox, V1)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop of v1 that sold two receipts on the 19th and one on the 20th."""
    with open_shop(tmp_path) as filled:
        for receipt_id, day in ((1, DAYS[0]), (2, DAYS[0]), (3, DAYS[1])):
            filled.sell(receipt_id, day)
        with reopened(tmp_path, filled.world, "everywhere") as shop:
            yield shop


def well_made(shop: Shop, *days: str, **options: Any) -> dict[str, Any]:
    """The facts of the operations of the first date, after a making without failures."""
    made, then = shop.make(*days, **options)
    assert (made.bad, then.bad) == ({}, {})
    return then.facts["stock_operations"][days[0]]


def rows_of(shop: Shop, table: Table, shift_date: str, but: set[str] | None = None) -> list[dict[str, Any]]:
    rows = shop.lake.read(table, shift_date)
    assert rows is not None
    left_out = {"fetched_at", *(but or ())}
    return [
        {name: value for name, value in row.items() if name not in left_out} for row in rows.sort_by("id").to_pylist()
    ]


def test_a_making_costs_its_list_pages_alone(shop: Shop) -> None:
    facts = well_made(shop, *DAYS)
    assert shop.asked() == {"v1 list": 1}
    assert (facts["rows"], facts["requests"], facts["requests_spared"]) == (2, 0, 2)
    assert facts["receipts_without_operations"] == 0
    assert shop.ids(STOCK_OPERATIONS, DAYS[0]) == [100, 200]
    assert shop.ids(STOCK_OPERATIONS, DAYS[1]) == [300]


def test_made_again_nothing_is_written_or_left_waiting(shop: Shop) -> None:
    well_made(shop, *DAYS)
    before = {file: file.stat().st_mtime_ns for file in shop.lake.root.rglob("*.parquet")}
    assert well_made(shop, *DAYS)["requests_spared"] == 2
    assert shop.asked() == {"v1 list": 1}
    assert {file: file.stat().st_mtime_ns for file in shop.lake.root.rglob("*.parquet")} == before
    assert [file for file in (shop.lake.root / "_staging").rglob("*") if file.is_file()] == []


def test_operations_stand_in_no_other_column(shop: Shop) -> None:
    made, then = shop.make(*DAYS)
    assert [made.facts[name][DAYS[0]]["unknown_fields"] for name in ("receipts", "receipt_products")] == ["", ""]
    assert then.facts["stock_operations"][DAYS[0]]["unknown_fields"] == ""
    assert {row["extra"] for row in rows_of(shop, RECEIPTS, DAYS[0])} == {None}


def test_a_change_of_operations_alone_shows_in_the_list(shop: Shop) -> None:
    well_made(shop, *DAYS)
    shop.deduct(1, total_cost=1)
    assert well_made(shop, *DAYS)["total_cost"] == 1 + shop.world.operations(2)[0]["total_cost"]
    assert shop.asked() == {"v1 list": 1}


def test_the_order_of_operations_is_no_change(shop: Shop) -> None:
    two = [operation(1, f"{DAYS[0]} 12:30:00"), operation(1, f"{DAYS[0]} 12:30:00", id=101)]
    shop.world.put_operations(1, two)
    well_made(shop, *DAYS)
    shop.world.put_operations(1, two[::-1])
    made, _ = shop.make(*DAYS)
    assert made.facts["receipts"][DAYS[0]]["receipts_changed"] == 0


def test_refresh_all_reads_what_the_list_said(shop: Shop) -> None:
    well_made(shop, *DAYS)
    assert well_made(shop, *DAYS, refresh="all")["rows"] == 2
    assert shop.asked() == {"v1 list": 1}


@pytest.mark.parametrize("refresh", ["changed", "all"])
def test_what_was_lost_on_the_way_is_asked_for_by_id(shop: Shop, refresh: Any) -> None:
    shop.make_receipts(*DAYS)
    for file in (shop.lake.root / "_staging" / "stock_operations.listed").rglob("*.json"):
        file.write_bytes(b"\x00damaged")
    shop.sandbox.requests.reset()
    assert shop.make_operations(*DAYS, refresh=refresh).bad == {}
    assert shop.asked() == {"v1 by id": 3}
    assert shop.ids(STOCK_OPERATIONS, DAYS[0]) == [100, 200]


def test_an_empty_list_of_operations_is_an_answer(shop: Shop) -> None:
    closed_at = (shop.world.now - timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S")
    shop.sell(4, "2026-01-24", closed_at=closed_at)
    shop.world.put_operations(4, [])
    for _ in range(2):
        facts = well_made(shop, "2026-01-24")
        assert (facts["rows"], facts["receipts_without_operations"]) == (0, 0)
        assert shop.asked() == {"v1 list": 1}
    shop.deduct(4)
    assert well_made(shop, "2026-01-24")["rows"] == 1


def test_where_the_list_holds_none_each_new_or_changed_receipt_is_asked_for(shop: Shop, tmp_path: Path) -> None:
    with reopened(tmp_path, shop.world, "by id") as other:
        assert well_made(other, *DAYS)["receipts_without_operations"] == 0
        assert other.asked() == {"v1 list": 1, "v1 by id": 3}
        assert other.ids(STOCK_OPERATIONS, DAYS[0]) == [100, 200]
        well_made(other, *DAYS)
        assert other.asked() == {"v1 list": 1}
        other.world.update_receipt(1, order_status="READY")
        well_made(other, *DAYS)
        assert other.asked() == {"v1 list": 1, "v1 by id": 1}
        assert well_made(other, *DAYS, refresh="all")["requests"] == 2


def test_where_nothing_holds_them_the_figures_say_so(shop: Shop, tmp_path: Path) -> None:
    shop.world.put_operations(2, [])
    with reopened(tmp_path, shop.world, "nowhere") as other:
        assert well_made(other, *DAYS)["receipts_without_operations"] == 2
        assert other.asked() == {"v1 list": 1, "v1 by id": 3}
        facts = well_made(other, *DAYS)
        assert other.asked() == {"v1 list": 1}
        # Not asked for again, and still said.
        assert (facts["receipts_without_operations"], facts["rows"]) == (2, 0)
        with connect() as connection:
            for table in COST:
                other.lake.replace(table, DAYS[0], compute(other.lake, connection, table, DAYS[0], Rules()), {})
        (daily,) = compute_daily(other)
        assert (daily["undeducted_lines"], daily["undeducted_sales"]) == (2, 25)
    with reopened(tmp_path, shop.world, "everywhere") as again:
        facts = well_made(again, *DAYS)
        assert (facts["receipts_without_operations"], facts["rows"]) == (0, 1)


def compute_daily(shop: Shop) -> list[dict[str, Any]]:
    rows = shop.lake.read(next(table for table in COST if table.name == "daily_cogs"), DAYS[0])
    assert rows is not None
    return list(rows.to_pylist())


def test_an_unfinished_run_keeps_that_nothing_was_told(shop: Shop, tmp_path: Path) -> None:
    with reopened(tmp_path, shop.world, "nowhere") as other:
        other.answer("/receipts/2", "<html>", 502)
        _, then = other.make(DAYS[0])
        assert "receipt 2" in then.bad[DAYS[0]]
        other.answer_truly()
        assert well_made(other, DAYS[0])["receipts_without_operations"] == 2
        assert other.asked() == {"v1 list": 1, "v1 by id": 1}


def test_v2_has_no_such_figure(tmp_path: Path, shop: Shop) -> None:
    plain = Shop(tmp_path / "v2", shop.sandbox)
    assert "receipts_without_operations" not in well_made(plain, *DAYS)


@pytest.mark.parametrize("told", ["everywhere", "by id"])
def test_an_operation_need_not_repeat_its_receipt(shop: Shop, tmp_path: Path, told: str) -> None:
    bare = operation(1, f"{DAYS[0]} 12:30:00")
    del bare["receipt_id"]
    shop.world.put_operations(1, [bare])
    shop.world.put_operations(2, [operation(2, f"{DAYS[0]} 12:30:00", receipt_id=None)])
    with reopened(tmp_path, shop.world, told) as other:
        well_made(other, *DAYS)
    assert [row["receipt_id"] for row in rows_of(shop, STOCK_OPERATIONS, DAYS[0])] == [1, 2]


@pytest.mark.parametrize(
    ("operations", "reason"),
    [
        (
            [operation(1, f"{DAYS[0]} 12:30:00", quantity="much")],
            "receipt 1: stock operation 100: quantity: 'much'",
        ),
        ([operation(1, f"{DAYS[0]} 12:30:00", receipt_id=2)], "stock operation 100: it belongs to receipt 2"),
    ],
)
def test_an_operation_that_cannot_be_read_costs_its_date(shop: Shop, operations: Any, reason: str) -> None:
    shop.world.put_operations(1, operations)
    made, then = shop.make(*DAYS)
    assert made.bad == {}
    assert list(then.bad) == [DAYS[0]]
    assert reason in then.bad[DAYS[0]]
    assert shop.ids(STOCK_OPERATIONS, DAYS[1]) == [300]


def test_a_deleted_receipt_stands_with_deleted_at_and_is_not_closed(shop: Shop) -> None:
    well_made(shop, *DAYS)
    shop.world.delete_receipt(1)
    facts = well_made(shop, *DAYS)
    assert shop.asked() == {"v1 list": 1}
    assert {row["id"]: row["deleted_at"] for row in rows_of(shop, RECEIPTS, DAYS[0])} == {1: NOW, 2: None}
    assert shop.ids(STOCK_OPERATIONS, DAYS[0]) == [200]
    assert facts["closed_receipts"] == 1


def test_a_receipt_that_moves_takes_its_operations_along(shop: Shop) -> None:
    well_made(shop, *DAYS)
    shop.world.move_receipt(1, date(2026, 1, 20))
    well_made(shop, DAYS[0])
    assert shop.stands(1) == {name: [DAYS[1]] for name in ("receipts", "receipt_products", "stock_operations")}
    assert shop.asked() == {"v1 list": 1}


def test_the_same_world_gives_the_same_rows_under_both_versions(tmp_path: Path) -> None:
    options = HistoryOptions(
        start_date=date(2026, 1, 1), seed=3, receipts_per_day=15, late_rate=0.05, return_rate=0.05, deletion_rate=0.05,
        never_closed_rate=0.02, empty_rate=0.02, ahead_rate=0.05, move_rate=0.02, reopen_rate=0.02,
    )  # fmt: skip
    history = History(options)
    history.advance(datetime.fromisoformat("2026-01-09 06:00:00"))
    days = days_from("2026-01-03", 4)
    shops: dict[str, Shop] = {}
    with Sandbox(history, limits=LimitOptions.unlimited()) as sandbox:
        for dialect in (V2, V1):
            shop = shops[dialect.version] = Shop(tmp_path / dialect.version, sandbox, dialect)
            well_made(shop, *days)
            with connect() as connection:
                for day in days:
                    for table in COST:
                        shop.lake.replace(table, day, compute(shop.lake, connection, table, day, Rules()), {})
    deleted = {row["id"] for day in days for row in rows_of(shops["v1"], RECEIPTS, day) if row["deleted_at"]}
    assert deleted
    for day in days:
        for table in (RECEIPTS, RECEIPT_PRODUCTS, STOCK_OPERATIONS):
            # v1's product of a line says more, in the one column that both versions have.
            only = {column.name for column in table.columns if column.v1_only} | {"meta"}
            first, second = (rows_of(shops[version], table, day, only) for version in ("v1", "v2"))
            of_receipt = "id" if table is RECEIPTS else "receipt_id"
            assert [row for row in first if row[of_receipt] not in deleted] == second
            assert second
        for table in COST:
            assert shops["v1"].lake.read(table, day) == shops["v2"].lake.read(table, day)
    one = rows_of(shops["v1"], RECEIPTS, days[0])[0]
    assert one["total_cost"] is not None
    assert rows_of(shops["v2"], RECEIPTS, days[0])[0]["total_cost"] is None


def sold_before(shop: Shop, receipt_id: int) -> None:
    """A receipt of the 19th, opened days before: the list of a range shows it, that of the date alone does not."""
    shop.sell(receipt_id, DAYS[0], created_at="2026-01-12 12:00:00")


def test_a_deleted_receipt_that_the_list_does_not_show_stays_too(shop: Shop) -> None:
    sold_before(shop, 9)
    well_made(shop, *RANGE)
    shop.world.delete_receipt(9)
    shop.asked()
    for days, asked in ((DAYS[:1], {"v1 list": 1, "v1 by id": 1}), (RANGE, {"v1 list": 1})):
        well_made(shop, *days)
        assert shop.asked() == asked
        assert {row["id"]: row["deleted_at"] for row in rows_of(shop, RECEIPTS, DAYS[0])} == {1: None, 2: None, 9: NOW}
        assert shop.ids(STOCK_OPERATIONS, DAYS[0]) == [100, 200]


def test_a_deleted_receipt_that_the_list_of_its_day_does_not_show_leaves(shop: Shop, tmp_path: Path) -> None:
    """A brand whose list leaves deleted receipts out, and whose answer by id does not."""
    well_made(shop, *DAYS)
    shop.world.delete_receipt(1)
    deleted = shop.world.get_any_receipt(1)
    assert deleted is not None
    body = msgspec.json.encode({"success": True, "data": deleted})
    with Sandbox(shop.world, limits=LimitOptions.unlimited(), quirks=Quirks(deleted_stay=False)) as sandbox:
        brand = Shop(tmp_path, sandbox, V1)
        brand.answer("/receipts/1", body)
        well_made(brand, *DAYS)
        assert brand.asked() == {"v1 list": 1, "v1 by id": 1}
        assert brand.stands(1) == {"receipts": [], "receipt_products": [], "stock_operations": []}
        well_made(brand, *DAYS)
        assert brand.asked() == {"v1 list": 1}


@pytest.mark.parametrize("listed_first", [True, False])
def test_a_receipt_is_the_same_in_a_list_without_operations_and_by_id(
    tmp_path: Path, shop: Shop, listed_first: bool
) -> None:
    """Read in the list of a range, or by id, for which it waited; then in the other way, and in the first again."""
    sold_before(shop, 9)
    shop.lake.wait_for(DAYS[0], 9, 1)
    ways: list[tuple[Sequence[str], dict[str, int]]] = [
        (RANGE, {"v1 list": 1}),
        (DAYS[:1], {"v1 list": 1, "v1 by id": 1}),
    ]
    if not listed_first:
        ways.reverse()
    with reopened(tmp_path, shop.world, "by id") as told_by_id:
        well_made(told_by_id, *RANGE[:-1])
        well_made(told_by_id, *ways[0][0])
        assert told_by_id.ids(STOCK_OPERATIONS, DAYS[0]) == [100, 200, 900]
        before = {table.name: told_by_id.lake.stamp(table, DAYS[0]) for table in RAW}
        told_by_id.asked()
        for days, asked in reversed(ways):
            well_made(told_by_id, *days)
            assert told_by_id.asked() == asked
            assert {table.name: told_by_id.lake.stamp(table, DAYS[0]) for table in RAW} == before


def test_where_no_list_says_how_a_receipt_reads_the_lake_does(tmp_path: Path, shop: Shop) -> None:
    day = "2026-01-10"
    shop.sell(9, day, created_at="2026-01-03 12:00:00")
    with reopened(tmp_path, shop.world, "by id") as told_by_id:
        well_made(told_by_id, *days_from("2026-01-03", 8))
        before = {table.name: told_by_id.lake.stamp(table, day) for table in RAW}
        told_by_id.asked()
        well_made(told_by_id, day)  # nothing else was created around it
        assert told_by_id.asked() == {"v1 list": 1, "v1 by id": 1}
        assert {table.name: told_by_id.lake.stamp(table, day) for table in RAW} == before
