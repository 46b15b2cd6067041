"""Shared states in files: what is kept, under which mode, on which clock, and what becomes of damage."""

import asyncio
import os
import stat
import threading
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from clopos_assets.clopos import store as store_module
from clopos_assets.clopos.errors import CloposUnavailableError
from clopos_assets.clopos.store import FileStore, MemoryStore, Store, hashed


class _Count(msgspec.Struct):
    number: int = 0
    text: str = ""


def _add(state: _Count, now: float) -> tuple[int, float]:
    state.number += 1
    return state.number, now


def _change(store: Store) -> tuple[int, float]:
    return asyncio.run(store.change("count", _Count, _add))


class _Machine:
    """A machine that can be booted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.boot = "first"
        self.seconds = 1000.0
        monkeypatch.setattr(store_module, "_boot_id", lambda: self.boot)
        monkeypatch.setattr(store_module, "machine_seconds", lambda: self.seconds)


def test_a_state_is_kept_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "shared"
    assert [_change(FileStore(folder))[0] for _ in range(3)] == [1, 2, 3]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [(file.name, stat.S_IMODE(file.stat().st_mode)) for file in folder.iterdir()] == [("count", 0o600)]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620])
def test_a_file_that_others_can_use_is_closed_to_them(tmp_path: Path, mode: int) -> None:
    (tmp_path / "count").touch()
    (tmp_path / "count").chmod(mode)
    _change(FileStore(tmp_path))
    assert stat.S_IMODE((tmp_path / "count").stat().st_mode) == 0o600


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200))
@example(b"")
@example(b"{}")
def test_a_foreign_file_is_started_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "count").write_bytes(content)
    assert [_change(FileStore(tmp_path))[0] for _ in range(2)] == [1, 2]


def test_a_large_foreign_file_is_started_anew(tmp_path: Path) -> None:
    (tmp_path / "count").touch()
    os.truncate(tmp_path / "count", 17 * 1024 * 1024)
    assert [_change(FileStore(tmp_path))[0] for _ in range(2)] == [1, 2]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_damaged_file_is_started_anew(tmp_path: Path, data: st.DataObject) -> None:
    file = tmp_path / "count"
    file.unlink(missing_ok=True)
    _change(FileStore(tmp_path))
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    file.write_bytes(content)
    assert _change(FileStore(tmp_path))[0] == 1


def test_a_write_cut_short_is_started_anew_and_a_shorter_state_is_read(tmp_path: Path) -> None:
    async def write(text: str) -> int:
        def turn(state: _Count, now: float) -> int:
            before, state.text = len(state.text), text
            return before

        return await FileStore(tmp_path).change("count", _Count, turn)

    assert [asyncio.run(write(text)) for text in ("x" * 1000, "y" * 10, "")] == [0, 1000, 10]
    asyncio.run(write("x" * 1000))
    os.truncate(tmp_path / "count", 500)
    assert asyncio.run(write("")) == 0


def test_another_kind_of_state_is_started_anew(tmp_path: Path) -> None:
    class Other(msgspec.Struct):
        number: str = "none"

    _change(FileStore(tmp_path))
    assert asyncio.run(FileStore(tmp_path).change("count", Other, lambda state, now: state.number)) == "none"


def test_time_goes_on_as_on_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = _Machine(monkeypatch)
    before = _change(FileStore(tmp_path))[1]
    machine.seconds += 7
    assert _change(FileStore(tmp_path))[1] == before + 7


@pytest.mark.parametrize("boot", ["second", "first"], ids=["told", "untold"])
def test_after_a_boot_time_goes_on_by_what_has_passed_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, boot: str
) -> None:
    machine = _Machine(monkeypatch)
    _change(FileStore(tmp_path))
    machine.seconds += 500
    before = _change(FileStore(tmp_path))[1]
    machine.boot, machine.seconds = boot, 20.0
    assert _change(FileStore(tmp_path))[1] == before + 20


@pytest.mark.parametrize("where", ["memory", "file"])
def test_no_change_is_lost_among_threads_and_tasks(tmp_path: Path, where: str) -> None:
    store: Store = MemoryStore() if where == "memory" else FileStore(tmp_path)

    async def many() -> None:
        await asyncio.gather(*(store.change("count", _Count, _add) for _ in range(50)))

    threads = [threading.Thread(target=lambda: asyncio.run(many())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _change(store)[0] == 201


def test_a_turn_that_fails_changes_nothing(tmp_path: Path) -> None:
    def fail(state: _Count, now: float) -> None:
        state.number = 100
        raise LookupError

    _change(FileStore(tmp_path))
    with pytest.raises(LookupError):
        asyncio.run(FileStore(tmp_path).change("count", _Count, fail))
    assert _change(FileStore(tmp_path))[0] == 2


def test_a_folder_that_can_not_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CloposUnavailableError, match=r"can't be used \(Not a directory\): see that it is a folder"):
        _change(FileStore(tmp_path / "file"))


def test_a_state_that_nobody_uses_goes_when_another_one_comes(tmp_path: Path) -> None:
    for name, age in (("old", 31 * 86_400), ("recent", 29 * 86_400)):
        (tmp_path / name).touch()
        written = time.time() - age
        os.utime(tmp_path / name, (written, written))
    _change(FileStore(tmp_path))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["count", "recent"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "count").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CloposUnavailableError, match="can't be used"):
        _change(FileStore(tmp_path))
    assert not (tmp_path / "elsewhere").exists()


def test_a_lock_that_nobody_gives_back_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_LOCK_SECONDS", 0.01)

    async def run() -> None:
        store = FileStore(tmp_path)
        file = store._open_locked("count")
        assert file is not None
        try:
            await store.change("count", _Count, _add)
        finally:
            os.close(file)

    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(CloposUnavailableError, match="stays locked by another process"):
        asyncio.run(run())
    assert len(os.listdir("/proc/self/fd")) == before


def test_names_tell_parts_apart_and_nothing_of_them() -> None:
    assert hashed("a", "bc") != hashed("ab", "c")
    assert hashed("brand") == hashed("brand")
    assert "brand" not in hashed("brand")
