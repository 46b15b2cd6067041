"""The order of the tests: files that take minutes begin first, so that no worker is left alone with one at the end.
And what all of them share.
"""

import functools
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

import clopos_assets.access
from clopos_assets.tables.privacy import derive_key

LONGEST = (
    "simulation/test_histories.py",
    "faults/test_sigkill.py",
    "system/test_homes.py",
    "simulation/test_parts.py",  # which is short: the first three workers take these files by turns, two each
    "system/test_machines.py",
)
"""Those of the system mostly wait; all others take seconds."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    begins = {here / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: begins.get(item.path, len(LONGEST)))


@pytest.fixture(scope="session", autouse=True)
def keys() -> Iterator[None]:
    """Keys are slow to derive, on purpose; hundreds of tests derive those of a few brands."""
    with patch.object(clopos_assets.access, "derive_key", functools.cache(derive_key)):
        yield
