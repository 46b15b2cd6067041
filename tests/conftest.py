"""The order of the tests, and what makes them fast.

Files that take minutes begin first, so that no worker is left alone with one at the end.
"""

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.memory import remembering

LONGEST = (
    "simulation/test_histories.py",
    "faults/test_sigkill.py",
    "system/test_homes.py",
    "system/test_machines.py",
    "simulation/test_parts.py",  # which is short: the four workers take the first files by turns, two each
)
"""Those of the system mostly wait; all others take seconds."""


MEMORY = Path("/dev/shm")
ROOM = 2 * 1024**3
"""Bytes that are left there for what uses it too; the tests' files are 0.4 GB at most."""


def pytest_configure() -> None:
    """Keep files in memory where there is room: to remove hundreds of thousands of them takes a disk a minute."""
    if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
        os.environ["TMPDIR"] = str(MEMORY)  # of the processes too that tests start
        tempfile.tempdir = None  # asked for again


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    begins = {here / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: begins.get(item.path, len(LONGEST)))


@pytest.fixture(scope="module")
def memory() -> Iterator[None]:
    """For modules whose runs mostly compute rows that an earlier one has computed from equal inputs."""
    with remembering():
        yield


@pytest.fixture(scope="module")
def memory_with_figures() -> Iterator[None]:
    """The same, for modules that look at what runs tell of the partitions that they make."""
    with remembering(with_figures=True):
        yield


def pytest_collection_finish() -> None:
    """Leave what is imported by now out of every search for garbage: it is most of what there is."""
    gc.freeze()


def pytest_sessionfinish() -> None:
    """What ends in good order wants to be found."""
    gc.unfreeze()
