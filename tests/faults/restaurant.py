"""A restaurant that is served with faults, and lakes that the line makes of it with a client that gives up soon."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.compute as pc

from clopos_assets.access import Access
from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.store import Store
from clopos_assets.ingest import Scope
from clopos_assets.line import Line, line_of
from clopos_assets.sandbox import Fault, History, HistoryOptions, LimitOptions, Quirks, Sandbox, World
from clopos_assets.sandbox.server import ApiVersion
from clopos_assets.settings import Settings
from clopos_assets.tables import FINDING_HISTORY, RAW, TABLES
from tests.line.runner import run_through

FIRST = date(2026, 3, 1)
DAYS = tuple((FIRST + timedelta(days=number)).isoformat() for number in range(3))
RAW_NAMES = frozenset(table.name for table in RAW)

VERSIONS: tuple[ApiVersion, ...] = ("v2", "v1")
ATTEMPTS = 4
TIMEOUT_SECONDS = 1.2
"""Where answers are slow. Elsewhere nothing is to be read into a machine that has much else to do."""
PATIENCE_SECONDS = 30.0
SHORT_WINDOW_SECONDS = 0.1
"""For faults that cost a window. In one that is shorter than an answer takes, requests go one by one."""
MAX_BODY_BYTES = 1024 * 1024

TOKENS = {Fault.EXPIRED, Fault.REVOKED}
SLOW = {Fault.STALL, Fault.DRIP}
LIMITS = {Fault.LIMIT, Fault.LIMIT_RETRY_AFTER, Fault.LIMIT_BARE}

Rows = dict[tuple[str, str], pa.Table]
"""A lake's rows by table and shift date, sorted by key, without the instant at which they were fetched."""


def history(seed: int = 1, *, receipts_per_day: int = 8) -> History:
    """Two venues in which everything rare happens often; nothing has happened yet."""
    return History(
        HistoryOptions(
            start_date=FIRST,
            seed=seed,
            venues=2,
            receipts_per_day=receipts_per_day,
            ahead_rate=0.05,
            late_rate=0.1,
            never_closed_rate=0.03,
            edit_rate=0.15,
            move_rate=0.05,
            deletion_rate=0.08,
            reopen_rate=0.05,
            empty_rate=0.03,
            return_rate=0.05,
        )
    )


def morning_after(number: int) -> datetime:
    """Seven o'clock after so many shift dates."""
    return datetime(FIRST.year, FIRST.month, FIRST.day, 7) + timedelta(days=number)


QUIRKS = Quirks(refuse_large_limit=True, v1_operations="by id")
"""Pages of 50, and operations by id alone under v1."""


def seconds_of(fault: Fault) -> float:
    """What a fault's plan says of seconds: a drip is slower than it is waited for, all else soon over."""
    return 4 * TIMEOUT_SECONDS if fault is Fault.DRIP else 0.05


@contextmanager
def served(world: World | History, *, limits: LimitOptions | None = None, quirks: Quirks = QUIRKS) -> Iterator[Sandbox]:
    """The restaurant, without limits if none are said."""
    with Sandbox(world, limits=limits or LimitOptions.unlimited(), quirks=quirks) as sandbox:
        yield sandbox


@contextmanager
def hasty(fault: Fault | None = None, **more: Any) -> Iterator[None]:
    """Clients that are made meanwhile soon give up, and pause for as long as nothing; `more` is of Connection."""
    soon = {
        "attempts": ATTEMPTS,
        "timeout_seconds": TIMEOUT_SECONDS if fault in SLOW else PATIENCE_SECONDS,
        "backoff_seconds": 0.01,
        "backoff_max_seconds": 0.05,
        "max_body_bytes": MAX_BODY_BYTES,
    }
    with (
        patch("clopos_assets.access.Connection", partial(Connection, **{**soon, **more})),
        patch("clopos_assets.clopos.token._AUTH_WINDOW_SECONDS", SHORT_WINDOW_SECONDS),
        patch("clopos_assets.clopos.quota._LONGEST_WAIT_WINDOWS", PATIENCE_SECONDS / SHORT_WINDOW_SECONDS),
    ):
        yield


class InItsTime(Access):
    """Access whose clock is the restaurant's, or `wrong_by` so much."""

    def __init__(self, settings: Settings, world: World) -> None:
        super().__init__(settings)
        self._world = world
        self.wrong_by = timedelta(0)

    @property
    def scope(self) -> Scope:
        zone = self.settings.timezone
        return replace(
            super().scope, clock=lambda: self._world.now.replace(tzinfo=zone).astimezone(UTC) + self.wrong_by
        )


@dataclass
class Site:
    """A lake that is made from a restaurant, and the runs over it."""

    sandbox: Sandbox
    access: InItsTime
    line: Line
    runs: int = 0
    store: Store | None = None

    @classmethod
    def at(cls, root: Path, sandbox: Sandbox, version: ApiVersion = "v2", **more: Any) -> "Site":
        """A project at a folder; `more` are settings by field."""
        told = {name.removeprefix("CLOPOS_").lower(): value for name, value in sandbox.settings(version).items()}
        given = {"lake": root, "start_date": FIRST, "standard_days": 3, **more}
        access = InItsTime(Settings.read(**{**told, **given}), sandbox.world)
        return cls(sandbox, access, line_of(access))

    def make(self, days: Sequence[str] = DAYS, planned: Collection[str] = RAW_NAMES) -> dict[str, str]:
        """One run: the shift dates that failed, and why. What is asked for in it is counted from 0."""
        self.sandbox.requests.reset()
        self.runs += 1
        return run_through(self.line, f"run-{self.runs}", days, planned, store=self.store)

    def rows(self) -> Rows:
        """All that stands in the lake; of the findings over time those that stand, for runs resolve what they see."""
        lake = self.access.lake
        rows: Rows = {}
        for table in TABLES.values():
            for day in lake.dates(table):
                found = lake.read(table, day)
                assert found is not None
                if table is FINDING_HISTORY:
                    found = found.filter(pc.is_null(found.column("resolved_at")))
                left_out = {"fetched_at", "first_seen_at", "last_seen_at"} & set(found.column_names)
                found = found.drop_columns(sorted(left_out))
                rows[table.name, day] = found.sort_by([(key, "ascending") for key in table.key])
        return rows

    def asked(self) -> dict[str, int]:
        """Requests of the last run that got a good answer, by kind; only those there were."""
        kinds = {
            "/v2/receipts": "list",
            "/v2/receipts/{id}": "by id",
            "/v2/receipts/{id}/stock-operations": "operations",
            "/receipts": "list",
            "/receipts/{id}": "operations",
        }
        counts: dict[str, int] = {}
        for request in self.sandbox.requests.latest():
            if request.route in kinds and not request.fault and request.status == 200:
                counts[kinds[request.route]] = counts.get(kinds[request.route], 0) + 1
        return counts


@dataclass
class Truth:
    """A restaurant under one version, and what a run without faults makes of it."""

    version: ApiVersion
    sandbox: Sandbox
    rows: Rows
    asked: dict[str, int]

    def site(self, root: Path, fault: Fault) -> Site:
        window = SHORT_WINDOW_SECONDS if fault in LIMITS else 60.0
        return Site.at(root / "lake", self.sandbox, self.version, window_seconds=window)

    @property
    def operations(self) -> str:
        """How the path ends on which stock operations are asked for."""
        return "/stock-operations" if self.version == "v2" else "/receipts/*"
