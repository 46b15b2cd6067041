"""A brand served from a process of its own, so that the server's work is not taken for the client's."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from multiprocessing import get_context
from typing import Any

from clopos_assets.sandbox import History, HistoryOptions, LimitOptions, Sandbox, World

SHIFT_DATE = date(2026, 1, 19)
_START_SECONDS = 300.0


def busy_day(receipts: int) -> World:
    """One venue with so many closed receipts of one shift date, and nothing else, some days later."""
    # Few more than wanted are played: a Monday has four fifths of the average.
    options = HistoryOptions(SHIFT_DATE, venues=1, receipts_per_day=receipts * 3 // 2 + 20).without_rare_events()
    history = History(options)
    history.advance(datetime.combine(SHIFT_DATE + timedelta(days=1), datetime.min.time()) + timedelta(hours=12))
    played = history.world
    world = World(played.venues, now=played.now + timedelta(days=3), zone=played.zone, credentials=played.credentials)
    closed = (
        receipt_id
        for receipt_id in played.receipt_ids()
        if played.receipt(receipt_id)["status"] == 2 and played.receipt(receipt_id)["shift_date"] == str(SHIFT_DATE)
    )
    for receipt_id, _ in zip(closed, range(receipts), strict=False):
        world.put_receipt(played.receipt(receipt_id))
        world.put_operations(receipt_id, played.operations(receipt_id))
    assert len(world.receipt_ids()) == receipts, "the day was too short"
    return world


@contextmanager
def served_apart(receipts: int) -> Iterator[dict[str, str]]:
    """The settings under which a client finds that day, of the token's own venue, without a limit it could meet."""
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, receipts), daemon=True)
    process.start()
    try:
        if not here.poll(_START_SECONDS):
            raise RuntimeError("the server did not start")
        settings: dict[str, str] = here.recv()
        yield settings
    finally:
        here.close()  # which ends it
        process.join(30)
        if process.is_alive():
            process.kill()
            process.join()


def _serve(pipe: Any, receipts: int) -> None:
    with Sandbox(busy_day(receipts), limits=LimitOptions.unlimited()) as sandbox:
        settings = sandbox.settings()
        del settings["CLOPOS_VENUE_IDS"]
        pipe.send(settings | {"CLOPOS_START_DATE": SHIFT_DATE.isoformat()})
        try:
            pipe.recv()
        except EOFError:
            return
