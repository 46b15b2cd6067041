"""Histories played by number, in this process or in several, with all that makes them fast."""

import functools
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from unittest.mock import patch

import httpx

import clopos_assets.clopos.client
import clopos_assets.line.derived
from clopos_assets.compute import connect
from tests.simulation.events import Event, history_of, venues_of
from tests.simulation.server import Server, serving
from tests.simulation.stage import Outcome, Stage

PAGE_SIZE = 6
"""Receipts on a page: few, so that a tick reads several pages."""


class Theatre:
    """Plays one history after the other. To be used as a context manager."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._server = Server()

    def __enter__(self) -> "Theatre":
        self._server = self._stack.enter_context(serving())
        self._stack.enter_context(_fast())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def play(self, seed: int, events: Sequence[Event] | None = None) -> Outcome:
        """The outcome of a seed's history, or of other events at the same brand."""
        root = Path(tempfile.mkdtemp(prefix="simulation-"))
        try:
            stage = Stage(root, self._server, venues_of(seed))
            return stage.play(history_of(seed) if events is None else events)
        finally:
            shutil.rmtree(root)


@contextmanager
def _fast() -> Iterator[None]:
    """Small pages; nothing is forced to the disk; one database for all."""
    make_context = functools.cache(httpx.create_ssl_context)
    with (
        connect() as connection,
        patch.object(httpx, "create_ssl_context", make_context),
        patch.object(clopos_assets.line.derived, "connect", lambda: nullcontext(connection)),
        patch.object(clopos_assets.clopos.client, "_LARGEST_PAGE", PAGE_SIZE),
        patch.object(os, "fsync", lambda _: None),
    ):
        connection.execute("set threads = 1")
        yield
