from collections.abc import Iterator
from functools import partial

import duckdb
import pytest

from clopos_assets.database import connect
from tests.variance.books import findings_of_rows
from tests.variance.sale import Find
from tests.variance.usage_days import Kitchen


@pytest.fixture(scope="package")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """One database for all tests of the folder: `select` leaves nothing behind in it."""
    with connect() as connection:
        yield connection


@pytest.fixture(scope="module")
def kitchen(connection: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory) -> Kitchen:
    """Where sales become usage variances."""
    return Kitchen(connection, tmp_path_factory.mktemp("lakes"))


@pytest.fixture
def findings(connection: duckdb.DuckDBPyConnection) -> Find:
    """The findings of one shift date, from rows."""
    return partial(findings_of_rows, connection)
