"""Real processes that share one brand's quota and token through a file, against the sandbox with its limit on."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from clopos_assets.clopos.quota import Priority, Quota
from clopos_assets.clopos.store import FileStore
from clopos_assets.clopos.window import WindowState

from .askers import Task, refusals, run_all, served, started, stranger

LIMIT = 60
SECONDS = 1.2


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_processes_are_never_refused_and_authenticate_once(tmp_path: Path, processes: int) -> None:
    with served(LIMIT, SECONDS) as sandbox:
        outcomes = run_all([Task(str(tmp_path), sandbox.settings(), 240 // processes)] * processes)
        assert [outcome.answered for outcome in outcomes] == [240 // processes] * processes
        assert refusals(sandbox) == 0
        assert sandbox.requests.count("POST", "/v2/auth") == 1
        secrets = (sandbox.credentials.client_secret, sandbox.credentials.brand, sandbox.credentials.client_id)
    files = list(tmp_path.iterdir())
    assert files
    for file in files:
        assert not any(secret in file.name or secret.encode() in file.read_bytes() for secret in secrets)


def test_a_killed_process_costs_the_others_nothing_but_time(tmp_path: Path) -> None:
    with served(LIMIT, SECONDS, delays=(0.05, 0.1)) as sandbox:
        task = Task(str(tmp_path), sandbox.settings(), 90)
        with started([task, task]) as (processes, finish):
            deadline = time.monotonic() + 60
            while sandbox.requests.count("GET", "/v2/receipts/{id}/stock-operations") < 40:
                assert time.monotonic() < deadline
                time.sleep(0.005)
            pid = processes[0].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            outcome = finish(1)[0]
        assert outcome.answered == 90
        assert refusals(sandbox) == 0


def test_the_leases_of_a_killed_process_end(tmp_path: Path) -> None:
    store = FileStore(tmp_path)

    async def look(held: int) -> list[int]:
        """What a process that died with two slots leaves, as the next ones see it."""

        def kill(state: WindowState, now: float) -> None:
            state.leases = {7: now - held, 8: now - held}

        await store.change("quota", WindowState, kill)
        quota = Quota(2, 0.2, store=store, longest_request_seconds=30.0)
        async with quota.slot() as slot:
            slot.settle({"RateLimit-Limit": "2", "RateLimit-Remaining": "1"})
        return await store.change("quota", WindowState, lambda state, now: [*state.leases])

    # 30 s for the request, and ten before and after it.
    assert asyncio.run(look(60)) == []


def test_beside_a_stranger_who_spends_half_all_is_answered(tmp_path: Path) -> None:
    with served(LIMIT, SECONDS) as sandbox, stranger(sandbox, LIMIT // 2, SECONDS):
        outcomes = run_all([Task(str(tmp_path), sandbox.settings(), 60)] * 2)
        assert [outcome.answered for outcome in outcomes] == [60, 60]
        # Windows of a second or two on a busy machine: the simulation holds the exact bound.
        assert refusals(sandbox) <= 30


def test_a_backfill_gives_way(tmp_path: Path) -> None:
    with served(LIMIT, SECONDS) as sandbox:
        backfill = Task(str(tmp_path), sandbox.settings(), 300, Priority.ORDINARY)
        urgent = Task(str(tmp_path), sandbox.settings(), 150)
        outcomes = sorted(run_all([backfill, urgent]), key=lambda outcome: outcome.answered)
        assert [outcome.answered for outcome in outcomes] == [150, 300]
        assert outcomes[0].ended < outcomes[1].ended
        assert refusals(sandbox) == 0


def test_a_token_that_is_refused_is_renewed_once_for_all_processes(tmp_path: Path) -> None:
    with served(LIMIT, SECONDS) as sandbox:
        task = Task(str(tmp_path), sandbox.settings(), 60)
        with started([task] * 3) as (_, finish):
            deadline = time.monotonic() + 60
            while sandbox.requests.count("GET", "/v2/receipts/{id}/stock-operations") < 20:
                assert time.monotonic() < deadline
                time.sleep(0.005)
            sandbox.tokens.revoke_all()
            assert [outcome.answered for outcome in finish(3)] == [60] * 3
        assert sandbox.requests.count("POST", "/v2/auth") == 2
