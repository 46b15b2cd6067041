"""The measuring itself, on a few receipts, and that the clients fetch the same."""

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from tests.benchmarks.fetching import DLT, MINIMAL, MINIMAL_AIOHTTP, RAW_LINE, figures, measure
from tests.benchmarks.figure import show

TABLES = ("receipts", "receipt_products", "stock_operations")
RECEIPTS = 12


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What each client left in a folder of its name, and `figures.txt`."""
    root = tmp_path_factory.mktemp("clients")
    clients = [RAW_LINE, MINIMAL, MINIMAL_AIOHTTP, DLT]
    costs = measure(root, RECEIPTS, 1, clients)
    assert all(cost.whole > cost.fetching > 0 for cost in costs.values())
    assert len(list(figures(costs))) == 2 * (len(clients) - 1)
    show("Fetching", figures(costs))
    return root


def read(root: Path, table: str) -> pa.Table:
    """Rows of the product's lake."""
    (file,) = (root / RAW_LINE / table).rglob("*.parquet")
    return pq.ParquetFile(file).read()


@pytest.mark.parametrize("client", [MINIMAL, MINIMAL_AIOHTTP])
@pytest.mark.parametrize("table", TABLES)
def test_the_minimal_client_fetches_the_same(root: Path, client: str, table: str) -> None:
    ours = read(root, table)
    theirs = pq.read_table(root / client / f"{table}.parquet").sort_by("id")
    shared = [name for name in theirs.column_names if name in ours.column_names and name != "modificators"]
    assert len(shared) > 10
    assert theirs.num_rows >= RECEIPTS
    # Both know decimals exactly, so equal means equal to the last digit.
    for name in shared:
        assert ours.column(name).to_pylist() == theirs.column(name).to_pylist(), name


def test_dlt_fetches_as_many_rows(root: Path) -> None:
    places = root / DLT / "dataset" / "clopos"
    for table, place in zip(TABLES, ("receipts", "receipts__receipt_products", "stock_operations"), strict=True):
        theirs = ds.dataset(places / place, format="parquet").to_table()
        assert theirs.num_rows == read(root, table).num_rows
    cost = pc.sum(read(root, "stock_operations").column("total_cost")).as_py()
    summed = sum(Decimal(str(value)) for value in theirs.column("total_cost").to_pylist())
    assert abs(cost - summed) < Decimal("0.01")
