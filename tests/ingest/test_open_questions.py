"""What the documents leave open, read either way: the lake is the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clopos_assets.clopos.dialect import V1, V2, Dialect
from clopos_assets.sandbox import LimitOptions, Quirks, Sandbox, World
from clopos_assets.tables import RECEIPTS, STOCK_OPERATIONS
from tests.ingest.shop import Shop, open_shop

DAY, NEXT = "2026-01-19", "2026-01-20"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Three receipts of the 19th, of which one was opened after midnight, and one of the 20th."""
    with open_shop(tmp_path / "filled") as shop:
        for receipt_id, day in ((1, DAY), (2, DAY), (4, NEXT)):
            shop.sell(receipt_id, day)
        shop.sell(3, DAY, created_at=f"{NEXT} 00:30:00", closed_at=f"{NEXT} 00:40:00", updated_at=f"{NEXT} 00:40:00")
        yield shop.world


@pytest.mark.parametrize("dialect", [V1, V2], ids=lambda dialect: dialect.version)
@pytest.mark.parametrize("deleted_stay", [True, False])
@pytest.mark.parametrize("bare_errors", [True, False])
def test_a_deleted_receipt_counts_no_more(
    world: World, tmp_path: Path, dialect: Dialect, deleted_stay: bool, bare_errors: bool
) -> None:
    quirks = Quirks(deleted_stay=deleted_stay, bare_errors=bare_errors, refuse_large_limit=True)
    with Sandbox(world, limits=LimitOptions.unlimited(), quirks=quirks) as sandbox:
        shop = Shop(tmp_path, sandbox, dialect)
        for step in shop.make(DAY, NEXT):
            assert step.bad == {}
        assert shop.ids(RECEIPTS, DAY) == [1, 2, 3]
        world.delete_receipt(1)
        for step in shop.make(DAY, NEXT):
            assert step.bad == {}
    rows = shop.lake.read(RECEIPTS, DAY, ["id", "deleted_at"])
    assert rows is not None
    shown = {row["id"]: row["deleted_at"] is not None for row in rows.to_pylist()}
    assert shown == ({1: True} if deleted_stay else {}) | {2: False, 3: False}
    assert shop.ids(STOCK_OPERATIONS, DAY, "receipt_id") == [2, 3]
    assert shop.ids(RECEIPTS, NEXT) == [4]


@pytest.mark.parametrize("dialect", [V1, V2], ids=lambda dialect: dialect.version)
def test_a_token_that_ends_is_renewed_whatever_the_shape_of_the_refusal(
    world: World, tmp_path: Path, dialect: Dialect
) -> None:
    with Sandbox(world, limits=LimitOptions.unlimited(), quirks=Quirks(bare_errors=True)) as sandbox:
        sandbox.faults.plan("token-expired", "/receipts", times=1)
        made, then = Shop(tmp_path, sandbox, dialect).make(DAY)
    assert (made.bad, then.bad) == ({}, {})
    assert sandbox.faults.met == {"token-expired": 1}


@pytest.mark.parametrize("quirks", [Quirks(v1_parameters="moments"), Quirks(v1_parameters="flat")])
def test_the_last_day_of_v1s_list_is_whole(world: World, tmp_path: Path, quirks: Quirks) -> None:
    with Sandbox(world, limits=LimitOptions.unlimited(), quirks=quirks) as sandbox:
        shop = Shop(tmp_path, sandbox, V1)
        made, _ = shop.make(DAY)
    assert made.bad == {}
    assert shop.ids(RECEIPTS, DAY) == [1, 2, 3]
