"""Each fault of the API by its name that stays, over real HTTP and the line: one line, and the next run ends right."""

import re
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest

from clopos_assets.clopos.patience import Patience
from clopos_assets.sandbox import Fault
from tests.faults.restaurant import DAYS, LIMITS, TIMEOUT_SECONDS, TOKENS, Truth, hasty, seconds_of

pytestmark = pytest.mark.usefixtures("memory")
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
    Fault.HUGE_GZIP: r"the answer is larger than 1,048,576 bytes",
    Fault.BROKEN_GZIP: r"the answer could not be decompressed",
    Fault.CUT_OFF: r"the answer was cut off",
    Fault.DRIP: f"no whole answer within {TIMEOUT_SECONDS} s",
    Fault.STALL: f"no whole answer within {TIMEOUT_SECONDS} s",
    Fault.CLOSED: r"the server closed the connection without an answer",
    Fault.RESET: r"Connection reset by peer|the connection broke|the server closed the connection",
    Fault.EXPIRED: r'HTTP 401 "Token expired: Authenticate again"',
    Fault.REVOKED: r'HTTP 401 "Invalid token: ',
}


def read_line(bad: dict[str, str], truth: Truth, *more_secrets: str) -> str:
    """The reason for which all dates failed, after a look at its form."""
    for reason in bad.values():
        assert reason.isprintable()
        assert len(reason) < 700
        for secret in (truth.sandbox.credentials.client_secret, "eyJ", "x-token", "Traceback", *more_secrets):
            assert secret not in reason
    return next(iter(bad.values()))


@pytest.mark.parametrize(
    ("whole", "where"), [("v2", "list"), ("v2", "operations"), ("v1", "operations")], indirect=["whole"], scope="module"
)
@pytest.mark.parametrize("fault", Fault, ids=str)
def test_what_stays_ends_in_one_line_and_the_next_run_asks_for_the_rest(
    truth: Truth, fault: Fault, where: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spared = 0 if where == "list" else 6
    path = "/receipts" if where == "list" else truth.operations
    truth.sandbox.faults.plan(fault, path, spared=spared, seconds=seconds_of(fault))
    site = truth.site(tmp_path, fault)
    with hasty(fault, attempts=2):
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


@pytest.mark.parametrize("whole", ["v2"], indirect=True)
def test_a_run_bears_it_for_so_long_however_many_tries_are_left(truth: Truth, tmp_path: Path) -> None:
    truth.sandbox.faults.plan("closed", "/receipts")
    site = truth.site(tmp_path, Fault.CLOSED)
    with hasty(attempts=10_000), patch("clopos_assets.access.Patience", partial(Patience, 0.6)):
        line = read_line(site.make(), truth)
        assert re.search(
            "Clopos gives no good answer, and the 0.01 minutes .* are used up; the last: .*run again", line
        )
        truth.sandbox.faults.clear()
        assert site.make() == {}
    assert site.rows() == truth.rows


@pytest.mark.parametrize("whole", ["v2"], indirect=True)
@pytest.mark.parametrize("fault", [*sorted(set(Fault) - TOKENS - LIMITS), Fault.LIMIT_BARE], ids=str)
def test_where_no_token_is_to_be_had_nothing_is_asked(truth: Truth, fault: Fault, tmp_path: Path) -> None:
    truth.sandbox.faults.plan(fault, "/auth", seconds=seconds_of(fault))
    site = truth.site(tmp_path, fault)
    with hasty(fault, attempts=2):
        bad = site.make(DAYS[:1])
    line = read_line(bad, truth)
    assert re.search(rf"POST (/v2)?/auth: .*({CAUSES[fault]}).*run again later", line), line
    assert (site.rows(), site.asked()) == ({}, {})
    truth.sandbox.faults.clear()
    assert site.make(DAYS[:1]) == {}
    assert site.rows() == {key: rows for key, rows in truth.rows.items() if key[1] == DAYS[0]}
