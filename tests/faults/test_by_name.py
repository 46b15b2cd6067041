"""Each fault of the API by its name, over real HTTP and the line: exact after a few, one line where it stays."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from clopos_assets.sandbox import Fault, Sandbox
from clopos_assets.sandbox.server import ApiVersion
from tests.faults.restaurant import (
    DAYS,
    SHORT_WINDOW_SECONDS,
    Rows,
    Site,
    hasty,
    history,
    morning_after,
    served,
)

VERSIONS: tuple[ApiVersion, ...] = ("v2", "v1")

_TOO_MANY = r'HTTP 429 "Too Many Requests: Rate limit exceeded|Clopos\' request quota stays used up'
CAUSES: dict[Fault, str] = {
    Fault.LIMIT: _TOO_MANY,
    Fault.LIMIT_RETRY_AFTER: _TOO_MANY,
    Fault.LIMIT_BARE: _TOO_MANY,
    Fault.SERVER_ERROR: r'HTTP 500 "server_error: Something went wrong"',
    Fault.BAD_GATEWAY: r"HTTP 502 with a body that is not whole JSON \(text/html\)",
    Fault.UNAVAILABLE: r"HTTP 503 with a body that is not whole JSON \(no content type\)",
    Fault.GATEWAY_TIMEOUT: r'HTTP 504 "gateway_timeout: The upstream did not answer in time"',
    Fault.HTML: r"HTTP 200 with a body that is not whole JSON \(text/html\)",
    Fault.EMPTY: r"HTTP 200 with a body that is not whole JSON \(application/json\)",
    Fault.NESTED: r"HTTP 200 with a body that is not whole JSON \(application/json\)",
    Fault.HUGE: r"the answer is larger than 1,048,576 bytes",
    Fault.BROKEN_GZIP: r"the answer could not be decompressed",
    Fault.CUT_OFF: r"the answer was cut off",
    Fault.DRIP: r"no whole answer within 0.5 s",
    Fault.STALL: r"no whole answer within 0.5 s",
    Fault.CLOSED: r"the server closed the connection without an answer",
    Fault.RESET: r"Connection reset by peer|the connection broke|the server closed the connection",
    Fault.TOKEN_EXPIRED: r'HTTP 401 "Token expired: Authenticate again"',
    Fault.TOKEN_INVALID: r'HTTP 401 "Invalid token: ',
}
TOKENS = {Fault.TOKEN_EXPIRED, Fault.TOKEN_INVALID}
SLOW = {Fault.STALL, Fault.DRIP}
LIMITS = {Fault.LIMIT, Fault.LIMIT_RETRY_AFTER, Fault.LIMIT_BARE}


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


@pytest.fixture(scope="module", params=VERSIONS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Truth]:
    past = history(receipts_per_day=5)
    past.advance(morning_after(5))
    with hasty(), served(past) as sandbox:
        site = Site.at(tmp_path_factory.mktemp("truth"), sandbox, request.param)
        assert site.make() == {}
        truth = Truth(request.param, sandbox, site.rows(), site.asked())
        assert truth.asked["list"] == 2
        assert truth.asked["operations"] > 20
        yield truth


@pytest.fixture
def truth(whole: Truth) -> Truth:
    whole.sandbox.reset()
    return whole


@pytest.mark.parametrize("fault", Fault, ids=str)
def test_what_happens_a_few_times_leaves_no_trace(truth: Truth, fault: Fault, tmp_path: Path) -> None:
    faults = truth.sandbox.faults
    # A token that is refused as soon as it was issued is final, and each one here refuses all that are under way.
    times = 1 if fault in TOKENS | SLOW else 2
    for path in ("/auth", "/venues", "/receipts"):
        faults.plan(fault, path, times=times, seconds=2.0 if fault is Fault.DRIP else 0.05)
    faults.plan(fault, truth.operations, times=times, spared=5, seconds=2.0 if fault is Fault.DRIP else 0.05)
    site = truth.site(tmp_path, fault)
    assert site.make() == {}
    assert site.rows() == truth.rows
    assert site.asked() == truth.asked
    met = times * (4 if truth.version == "v2" else 3)
    # A token is issued more often where tokens end.
    assert faults.met == {fault.value: met}


def read_line(bad: dict[str, str], truth: Truth, *more_secrets: str) -> str:
    """The reason for which all dates failed, after a look at its form."""
    for reason in bad.values():
        assert reason.isprintable()
        assert len(reason) < 700
        for secret in (truth.sandbox.credentials.client_secret, "eyJ", "x-token", "Traceback", *more_secrets):
            assert secret not in reason
    return next(iter(bad.values()))


@pytest.mark.parametrize("where", ["list", "operations"])
@pytest.mark.parametrize("fault", Fault, ids=str)
def test_what_stays_ends_in_one_line_and_the_next_run_asks_for_the_rest(
    truth: Truth, fault: Fault, where: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spared = 0 if where == "list" else 6
    path = "/receipts" if where == "list" else truth.operations
    truth.sandbox.faults.plan(fault, path, spared=spared, seconds=2.0 if fault is Fault.DRIP else 0.05)
    site = truth.site(tmp_path, fault)
    with hasty(attempts=2):
        bad = site.make()
    assert bad.keys() == set(DAYS)
    line = read_line(bad, truth)
    assert re.search(CAUSES[fault], line), line
    assert re.search("run again later|check that CLOPOS_BASE_URL belongs to", line), line
    for secret in (truth.sandbox.credentials.client_secret, "eyJ"):
        assert secret not in caplog.text
    rows = site.rows()
    assert {table for table, _ in rows} == (set() if where == "list" else {"receipts", "receipt_products"})
    assert all(rows[key].equals(truth.rows[key]) for key in rows)
    kept = site.asked().get("operations", 0)
    assert kept == spared
    truth.sandbox.faults.clear()
    assert site.make() == {}
    assert site.rows() == truth.rows
    assert site.asked() == {**truth.asked, "operations": truth.asked["operations"] - kept}
    assert site.make() == {}
    assert site.asked().get("operations", 0) == 0


@pytest.mark.parametrize("fault", sorted(set(Fault) - TOKENS), ids=str)
def test_where_no_token_is_to_be_had_nothing_is_asked(truth: Truth, fault: Fault, tmp_path: Path) -> None:
    truth.sandbox.faults.plan(fault, "/auth", seconds=2.0 if fault is Fault.DRIP else 0.05)
    site = truth.site(tmp_path, fault)
    with hasty(attempts=2):
        bad = site.make()
    line = read_line(bad, truth)
    assert re.search(rf"POST (/v2)?/auth: .*({CAUSES[fault]}).*run again later", line), line
    assert (site.rows(), site.asked()) == ({}, {})
    truth.sandbox.faults.clear()
    assert site.make() == {}
    assert site.rows() == truth.rows


@pytest.fixture(autouse=True)
def _hasty() -> Iterator[None]:
    with hasty():
        yield
