"""The order of the tests: files that take minutes begin first, so that no worker is left alone with one at the end."""

from pathlib import Path

import pytest

LONGEST = ("simulation/test_histories.py", "system/test_homes.py", "system/test_machines.py", "faults/test_sigkill.py")
"""Two of these mostly wait; all others take seconds."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    begins = {here / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: begins.get(item.path, len(LONGEST)))
