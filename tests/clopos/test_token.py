"""Sharing a token, with a clock of the test's own; authenticating is tested against the server."""

import asyncio
import json
import threading
import time
from dataclasses import replace
from email.utils import formatdate
from math import inf

import pytest

from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.dialect import V1
from clopos_assets.clopos.errors import CloposAnswerError, CloposError, CloposRefusedError, CloposUnavailableError
from clopos_assets.clopos.shared_token import SharedToken, TokenState
from clopos_assets.clopos.store import MemoryStore
from clopos_assets.clopos.token import Grant, TokenCache, authenticate
from clopos_assets.clopos.wire import Wire

from .brand import SECRET, Brand
from .server import Asked, Reply, Server, reply_json


def _connection(brand: str = "a", url: str = "http://127.0.0.1:9") -> Connection:
    return Connection(url, "client", SECRET, brand, "integrator", attempts=3, timeout_seconds=5, backoff_seconds=0.01)


class _Desk:
    """Hands out tokens, or `failure`; `now` is the clock."""

    def __init__(self, life: float = 3600.0, failure: CloposError | None = None) -> None:
        self.now = 1000.0
        self.life = life
        self.failure = failure
        self.asked = 0

    def clock(self) -> float:
        return self.now

    async def ask(self) -> Grant:
        self.asked += 1
        number = self.asked
        await asyncio.sleep(0.03)
        if self.failure is not None:
            raise self.failure
        return Grant(f"t{number}", self.life)


@pytest.mark.parametrize(("life", "renewed_after"), [(3600.0, 3540.0), (100.0, 90.0)])
def test_a_token_is_renewed_shortly_before_its_end(life: float, renewed_after: float) -> None:
    desk = _Desk(life)
    tokens = TokenCache(clock=desk.clock)

    def get() -> str:
        return asyncio.run(tokens.get(_connection(), desk.ask))

    assert get() == get() == "t1"
    desk.now += renewed_after - 1
    assert get() == "t1"
    desk.now += 1
    assert get() == "t2"


def test_only_the_current_token_is_invalidated() -> None:
    desk = _Desk()
    tokens = TokenCache(clock=desk.clock)

    def get() -> str:
        return asyncio.run(tokens.get(_connection(), desk.ask))

    get()
    tokens.invalidate("t1")
    assert get() == "t2"
    tokens.invalidate("t1")
    assert get() == "t2"


def test_brands_do_not_share_a_token() -> None:
    desk = _Desk()
    tokens = TokenCache(clock=desk.clock)
    assert asyncio.run(tokens.get(_connection("a"), desk.ask)) == "t1"
    assert asyncio.run(tokens.get(_connection("b"), desk.ask)) == "t2"
    assert asyncio.run(tokens.get(_connection("a"), desk.ask)) == "t1"


def test_only_what_is_said_alike_everywhere_shares_a_token() -> None:
    said = _connection()
    of_venues = replace(said, dialect=V1)
    asked_with: list[tuple[Connection, int | None]] = [
        (said, None),
        (replace(said, base_url="http://127.0.0.1:10"), None),
        (replace(said, client_id="other"), None),
        (replace(said, client_secret="other"), None),
        (replace(said, brand="other"), None),
        (replace(said, integrator_id="other"), None),
        (of_venues, 1),
        (of_venues, 2),
    ]
    desk = _Desk()
    tokens = TokenCache(clock=desk.clock)
    for _ in range(2):
        got = [asyncio.run(tokens.get(connection, desk.ask, venue_id)) for connection, venue_id in asked_with]
        assert got == [f"t{number}" for number in range(1, 9)]


def test_tasks_and_threads_authenticate_once() -> None:
    desk = _Desk()
    tokens = TokenCache(clock=desk.clock)
    got: list[str] = []

    async def run() -> None:
        got.extend(await asyncio.gather(*(tokens.get(_connection(), desk.ask) for _ in range(5))))

    threads = [threading.Thread(target=lambda: asyncio.run(run())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == ["t1"] * 15
    assert desk.asked == 1


@pytest.mark.parametrize("failure", [CloposRefusedError("no"), CloposUnavailableError("not now")])
def test_who_waits_shares_the_failure(failure: CloposError) -> None:
    desk = _Desk(failure=failure)
    tokens = TokenCache(clock=desk.clock)

    async def run() -> list[object]:
        return await asyncio.gather(*(tokens.get(_connection(), desk.ask) for _ in range(4)), return_exceptions=True)

    outcomes = asyncio.run(run())
    assert {(type(outcome), str(outcome)) for outcome in outcomes} == {(type(failure), str(failure))}
    assert desk.asked == 1


def test_a_refusal_stands_for_ten_seconds() -> None:
    desk = _Desk(failure=CloposRefusedError("no"))
    tokens = TokenCache(clock=desk.clock)
    for _ in range(3):
        with pytest.raises(CloposRefusedError, match="no"):
            asyncio.run(tokens.get(_connection(), desk.ask))
    assert desk.asked == 1
    desk.now += 10
    desk.failure = None
    assert asyncio.run(tokens.get(_connection(), desk.ask)) == "t2"


def test_a_failure_that_a_retry_may_help_does_not_stand() -> None:
    desk = _Desk(failure=CloposUnavailableError("not now"))
    tokens = TokenCache(clock=desk.clock)
    with pytest.raises(CloposUnavailableError, match="not now"):
        asyncio.run(tokens.get(_connection(), desk.ask))
    desk.failure = None
    assert asyncio.run(tokens.get(_connection(), desk.ask)) == "t2"


@pytest.mark.parametrize("failure", [None, CloposUnavailableError("not now")])
def test_a_cancelled_authentication_leaves_the_next_one_free(failure: CloposError | None) -> None:
    desk = _Desk(failure=failure)
    tokens = TokenCache(clock=desk.clock)
    if failure is not None:
        with pytest.raises(CloposUnavailableError):
            asyncio.run(tokens.get(_connection(), desk.ask))
        desk.failure = None

    async def run() -> str:
        first = asyncio.create_task(tokens.get(_connection(), desk.ask))
        await asyncio.sleep(0)
        second = asyncio.create_task(tokens.get(_connection(), desk.ask))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(run()) == f"t{desk.asked}"
    assert desk.asked == (2 if failure is None else 3)


def test_anothers_authentication_that_does_not_end_is_not_waited_for_for_ever() -> None:
    desk = _Desk()
    store = MemoryStore(desk.clock)

    async def sleep(seconds: float) -> None:
        desk.now += seconds

    def claim(state: TokenState, now: float) -> None:
        state.claimed_until = inf

    asyncio.run(store.change("token", TokenState, claim))
    with pytest.raises(CloposUnavailableError, match="does not end; run again later"):
        asyncio.run(SharedToken(store, "token", clock=desk.clock, sleep=sleep).get(desk.ask, ""))
    assert desk.asked == 0
    assert desk.now == pytest.approx(1000 + 900, abs=1)


def _authenticate(answers: list[Reply]) -> tuple[Grant, list[Asked]]:
    replies = iter(answers)
    with Server(lambda asked: next(replies)) as server:

        async def run() -> Grant:
            connection = _connection(url=f"{server.url}/open-api")
            async with Wire(connection) as wire:
                return await authenticate(wire, connection)

        return asyncio.run(run()), server.asked


def _granted(**more: object) -> Reply:
    return reply_json({"success": True, "token": "t", "token_type": "Bearer", **more})


def test_the_request_is_the_documented_one() -> None:
    _, asked = _authenticate([_granted(expires_in=3600)])
    assert (asked[0].method, asked[0].target) == ("POST", "/open-api/v2/auth")
    assert asked[0].headers["content-type"] == "application/json"
    assert json.loads(asked[0].body) == {
        "client_id": "client",
        "client_secret": SECRET,
        "brand": "a",
        "integrator_id": "integrator",
    }


@pytest.mark.parametrize(
    ("more", "life"),
    [
        ({"expires_in": 3600}, 3600.0),
        ({"expires_in": "120"}, 120.0),
        ({"expires_in": 0}, 3600.0),
        ({"expires_in": True}, 3600.0),
        ({"expires_in": 10**400}, 3600.0),
        ({"expires_in": None, "expires_at": 4102444800}, None),
        ({"expires_at": 1000}, 3600.0),
        ({"expires_at": "2026-01-19T15:07:49Z"}, 3600.0),
        ({}, 3600.0),
    ],
)
def test_the_life_of_a_token(more: dict[str, object], life: float | None) -> None:
    grant, _ = _authenticate([_granted(**more)])
    if life is None:
        assert grant.life_seconds > 1_000_000
    else:
        assert grant.life_seconds == life


def test_the_end_of_a_token_is_by_the_servers_clock() -> None:
    """Which is a year behind this machine's."""
    moment = int(time.time()) - 365 * 86_400
    told = reply_json(
        {"success": True, "token": "t", "expires_at": moment + 120}, headers={"Date": formatdate(moment, usegmt=True)}
    )
    grant, _ = _authenticate([told])
    assert grant.life_seconds == 120


@pytest.mark.parametrize(
    "first",
    [
        Reply(502, b"<html>", "text/html"),
        reply_json({"success": False, "error": "limit"}, 429, {"RateLimit-Reset": "0.01"}),
        Reply(200, b'{"success": true, "tok', "application/json"),
        Reply(body=b"{}" * 100, fault="cut"),
        Reply(fault="reset"),
        Reply(fault="silent"),
    ],
    ids=["502", "429", "half", "cut", "reset", "silent"],
)
def test_a_fault_is_tried_again(first: Reply) -> None:
    grant, asked = _authenticate([first, _granted(expires_in=3600)])
    assert (grant.token, len(asked)) == ("t", 2)


def test_a_429_without_a_reset_waits_out_the_minute() -> None:
    class WaitedError(Exception):
        pass

    def on_wait(seconds: float, reason: str) -> None:
        raise WaitedError(f"{seconds:.0f} s")

    async def run(url: str) -> None:
        connection = _connection(url=url)
        async with Wire(connection) as wire:
            await authenticate(wire, connection, on_wait)

    with Server(lambda asked: Reply(429)) as server, pytest.raises(WaitedError, match="60 s"):
        asyncio.run(run(server.url))


def test_faults_end() -> None:
    with pytest.raises(CloposUnavailableError, match=r"POST /v2/auth: given up after 3 tries, the last: HTTP 503"):
        _authenticate([Reply(503)] * 3)


def test_a_website_leads_to_the_address() -> None:
    with pytest.raises(CloposUnavailableError, match=r"\(text/html\); run again later, and check CLOPOS_BASE_URL"):
        _authenticate([Reply(200, b"<html>", "text/html")] * 3)


@pytest.mark.parametrize(
    ("reply", "kind", "message"),
    [
        (
            reply_json({"success": False, "error": "unauthorized", "message": "Invalid client credentials"}, 401),
            CloposRefusedError,
            "Invalid client credentials.*CLOPOS_CLIENT_SECRET, CLOPOS_BRAND",
        ),
        (
            reply_json({"success": False, "error": "Invalid integrator_id"}, 400),
            CloposRefusedError,
            "Invalid integrator_id.*CLOPOS_INTEGRATOR_ID",
        ),
        (
            reply_json({"success": False, "error": "Test integrator on a production brand"}),
            CloposRefusedError,
            "production brand.*CLOPOS_BRAND",
        ),
        (
            reply_json({"success": False, "error": "Invalid token"}, 401),
            CloposRefusedError,
            "Invalid token.*; check CLOPOS_CLIENT_ID, .* and CLOPOS_INTEGRATOR_ID, and CLOPOS_BASE_URL$",
        ),
        (reply_json({"success": True, "data": {}}), CloposAnswerError, "no usable token"),
        (reply_json({"success": True, "token": "two\r\nlines"}), CloposAnswerError, "no usable token"),
        (reply_json({"success": True, "token": "two words"}), CloposAnswerError, "no usable token"),
        (reply_json({"success": True, "token": "tökən"}), CloposAnswerError, "no usable token"),
        (reply_json({"success": True, "token": ""}), CloposAnswerError, "no usable token"),
        (reply_json({"success": True, "token": 5}), CloposAnswerError, "no usable token"),
    ],
)
def test_a_refusal_is_final(reply: Reply, kind: type[CloposError], message: str) -> None:
    with pytest.raises(kind, match=message):
        _authenticate([reply])


def test_the_brand_of_the_tests_authenticates() -> None:
    with Server(Brand().answer) as server:

        async def run() -> Grant:
            connection = _connection(url=f"{server.url}/open-api")
            async with Wire(connection) as wire:
                return await authenticate(wire, connection)

        assert asyncio.run(run()).life_seconds == 3600
