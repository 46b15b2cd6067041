"""The golden days through everything: HTTP, client, ingest, lake and SQL."""

from pathlib import Path

import pytest

from clopos_assets.clopos.dialect import V1, V2, Dialect
from clopos_assets.compute import Rules, compute
from clopos_assets.database import connect
from clopos_assets.sandbox import LimitOptions, Sandbox, World
from clopos_assets.tables import COST
from tests.golden.period import DAYS, assert_golden
from tests.ingest.shop import NOW, Shop

ANSWERS = Path(__file__).with_name("answers.json")


@pytest.mark.parametrize("dialect", [V2, V1], ids=lambda dialect: dialect.version)
@pytest.mark.parametrize("at_once", [True, False])
def test_the_golden_days_come_out_to_the_last_decimal(tmp_path: Path, dialect: Dialect, at_once: bool) -> None:
    world = World.from_json(ANSWERS.read_bytes(), now=NOW)
    with Sandbox(world, limits=LimitOptions.unlimited()) as sandbox:
        shop = Shop(tmp_path, sandbox, dialect)
        for days in [DAYS] if at_once else [[day] for day in DAYS]:
            made, then = shop.make(*days)
            assert not made.bad
            assert not then.bad
    with connect() as connection:
        for day in DAYS:
            for table in COST:
                rows = compute(shop.lake, connection, table, day, Rules())
                shop.lake.replace(table, day, rows, {})
                assert_golden(table.name, day, rows.to_pylist())
