from collections.abc import Iterator

import duckdb
import pytest

from clopos_assets.database import connect
from tests.sql.day import Day


@pytest.fixture(scope="package")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """One database for all tests of the folder: `select` leaves nothing behind in it."""
    with connect() as connection:
        yield connection


@pytest.fixture
def day(connection: duckdb.DuckDBPyConnection) -> Day:
    return Day(connection)
