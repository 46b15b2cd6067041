"""A disk that is really full, a small one in memory: one line that says so, nothing half, and then the work goes on."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clopos_assets.access import Access
from clopos_assets.doctor.finding import Finding
from clopos_assets.doctor.places import look_at_lake
from clopos_assets.lake import LakeError
from clopos_assets.line import line_of
from clopos_assets.settings import Settings
from tests.faults.sigkill import rows_of, settings_of
from tests.ingest.shop import open_shop
from tests.line.runner import run_through

DAY = "2026-01-12"
PAGE = 4096
ROOMS = (0, 1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 18, 20)
"""Free pages, of which every file takes at least one."""


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Half a megabyte of memory as a disk. Only root may mount it."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"only root can mount a disk that may be filled: {mounted.stderr.strip()}")  # and not all are root
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(disk: Path, free_pages: int) -> Path:
    """A file that leaves so many pages free."""
    free = os.statvfs(disk)
    filler = disk / "filler"
    filler.write_bytes(b"x" * (free.f_bavail * free.f_bsize - free_pages * PAGE))
    return filler


def make(lake: Path) -> dict[str, str]:
    """One run of the whole line; why it failed, empty where it did not."""
    try:
        return run_through(line_of(Access(Settings.read(lake=str(lake)))), "a run", [DAY])
    except LakeError as error:
        return {"": str(error)}


def test_doctor_sees_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        settings = Settings.read(lake=str(disk / "lake"))
        for free_pages, is_ok in ((8, True), (0, False)):
            filler = fill(disk, free_pages)
            found: list[Finding] = []
            look_at_lake(settings, found)
            assert [finding.is_ok for finding in found] == [is_ok]
            filler.unlink()
    assert "No space left on device): free some space" in found[0].text


def test_a_full_disk_is_told_and_made_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = 0
    with open_shop(tmp_path) as shop:
        for name, value in settings_of(shop).items():
            monkeypatch.setenv(name, value)
        for number in range(1, 4):
            shop.sell(number, DAY)
        assert make(tmp_path / "whole") == {}
        wanted = rows_of(tmp_path / "whole")
        for room in ROOMS:
            with small_disk(tmp_path / f"disk {room}") as disk:
                filler = fill(disk, room)
                reasons = make(disk / "lake")
                for reason in reasons.values():
                    assert reason.isprintable()
                    assert "No space left on device" in reason
                    assert "free some space" in reason
                made = rows_of(disk / "lake")  # what stands there is whole
                assert all(made[key].equals(wanted[key]) for key in made)
                failed += bool(reasons)
                filler.unlink()
                assert make(disk / "lake") == {}
                made = rows_of(disk / "lake")
                assert made.keys() == wanted.keys()
                assert all(made[key].equals(wanted[key]) for key in made)
    assert failed == len(ROOMS)
