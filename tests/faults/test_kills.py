"""What a process held of the quota and the token when it was killed: nobody waits for it for long."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest

from clopos_assets.clopos import shared_token, store
from clopos_assets.clopos.errors import CloposUnavailableError
from clopos_assets.clopos.quota import Quota
from clopos_assets.clopos.shared_token import Grant, SharedToken
from clopos_assets.clopos.store import FileStore, MemoryStore, S, T

PROJECT = Path(__file__).parents[2]
PATIENCE_SECONDS = 10.5
"""By then whatever a killed process held may be had."""

KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from clopos_assets.clopos.quota import Quota
from clopos_assets.clopos.shared_token import SharedToken
from clopos_assets.clopos.store import FileStore

shared = FileStore(Path(sys.argv[1]))

async def die():
    os.kill(os.getpid(), signal.SIGKILL)

async def ask():
    async with Quota(300, 60, store=shared, longest_request_seconds=30).slot():
        await die()

asyncio.run(ask() if sys.argv[2] == "asking" else SharedToken(shared, "token").get(die, ""))
"""


async def never(_seconds: float) -> None:
    """Instead of waiting."""
    raise AssertionError("it waits for the dead")


async def authenticate() -> Grant:
    return Grant("token", 3600)


def kill_while(what: str, folder: Path) -> None:
    """A real process, killed at what it was doing."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder), what], cwd=PROJECT, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's clock goes on."""
    now = store.machine_seconds
    monkeypatch.setattr(store, "machine_seconds", lambda: now() + PATIENCE_SECONDS)


@pytest.mark.usefixtures("later")
def test_a_request_that_was_killed_keeps_no_other_waiting(tmp_path: Path) -> None:
    kill_while("asking", tmp_path)

    async def ask() -> None:
        async with Quota(300, 60, store=FileStore(tmp_path), longest_request_seconds=30, sleep=never).slot() as slot:
            slot.settle({})

    asyncio.run(ask())


@pytest.mark.usefixtures("later")
def test_an_authentication_that_was_killed_keeps_no_other_waiting(tmp_path: Path) -> None:
    kill_while("authenticating", tmp_path)

    token, _ = asyncio.run(SharedToken(FileStore(tmp_path), "token", sleep=never).get(authenticate, ""))
    assert token == "token"


def test_who_is_alive_authenticates_alone_however_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_token, "_CLAIMED_AGAIN_SECONDS", 0.001)
    now = 0.0
    shared = MemoryStore(lambda: now)
    asked: list[str] = []

    async def claim() -> float:
        return await shared.change("token", shared_token.TokenState, lambda state, _: state.claimed_until)

    async def slow() -> Grant:
        nonlocal now
        asked.append("slow")
        for _ in range(20):
            claimed_until = await claim()
            now += 5.0
            for _ in range(10_000):
                if await claim() > claimed_until:
                    break
                await asyncio.sleep(0.001)
        return Grant("token", 3600)

    async def other() -> Grant:
        asked.append("other")
        return Grant("another", 3600)

    async def both() -> list[tuple[str, float]]:
        async def soon(_seconds: float) -> None:
            await asyncio.sleep(0.001)

        first = asyncio.create_task(SharedToken(shared, "token", clock=lambda: now, sleep=soon).get(slow, ""))
        await asyncio.sleep(0)
        second = SharedToken(shared, "token", clock=lambda: now, sleep=soon).get(other, "")
        return [*await asyncio.gather(first, second)]

    assert [token for token, _ in asyncio.run(both())] == ["token", "token"]
    assert asked == ["slow"]
    assert now == 100.0


async def authenticate_badly() -> Grant:
    raise CloposUnavailableError("not now")


def test_nothing_of_a_claim_outlives_it() -> None:
    async def run() -> None:
        with pytest.raises(CloposUnavailableError, match="not now"):
            await SharedToken(MemoryStore(), "token").get(authenticate_badly, "")
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def test_a_claim_that_is_written_late_claims_nothing() -> None:
    """As by a store that was at it when the authentication ended."""

    class Late(MemoryStore):
        """Writes what renews a claim, and then once more after all else."""

        def __init__(self) -> None:
            super().__init__()
            self.late: list[Callable[[], Awaitable[object]]] = []
            self.is_renewed = asyncio.Event()

        async def change(self, name: str, kind: type[S], turn: Callable[[S, float], T]) -> T:
            given = await super().change(name, kind, turn)
            if asyncio.current_task() is not main:
                self.late.append(partial(super().change, name, kind, turn))
                self.is_renewed.set()
            return given

    main: asyncio.Task[None] | None = None

    async def run() -> None:
        nonlocal main
        main = asyncio.current_task()
        shared = Late()

        async def renewed_and_refused() -> Grant:
            await shared.is_renewed.wait()
            return await authenticate_badly()

        with pytest.raises(CloposUnavailableError, match="not now"):
            await SharedToken(shared, "token").get(renewed_and_refused, "")
        await shared.late[0]()
        token, _ = await SharedToken(shared, "token", sleep=never).get(authenticate, "")
        assert token == "token"

    with patch.object(shared_token, "_CLAIMED_AGAIN_SECONDS", 0.001):
        asyncio.run(run())
