"""What the client does about faults and stale tokens, and how it ends."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import count

import pytest

from clopos_assets.clopos.client import Clopos
from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.dialect import V1, V2, Dialect
from clopos_assets.clopos.errors import CloposAnswerError, CloposError, CloposRefusedError, CloposUnavailableError
from clopos_assets.clopos.listing import Item, Page
from clopos_assets.clopos.quota import Quota
from clopos_assets.clopos.quotas import Quotas
from clopos_assets.clopos.token import Grant, TokenCache

from .asking import LAST, always, failing_first, get_fifth, list_ids, refuse, run_with
from .brand import RATE, Brand, connect, make_receipts
from .server import Asked, Reply, Server, reply_json

# Faults


@pytest.mark.parametrize(
    "reply",
    [
        refuse("Server error", 500),
        Reply(502, b"<html><h1>502 Bad Gateway</h1></html>", "text/html"),
        Reply(503),
        refuse("timeout", 504),
        Reply(200, b"<html>maintenance</html>", "text/html"),
        Reply(200, b'{"success": true, "data": {"id": 5', "application/json"),
        Reply(200, b'{"success": true}' * 100, fault="cut"),
        Reply(fault="reset"),
        Reply(fault="silent"),
        refuse("limit", 429),
    ],
    ids=["500", "502", "503", "504", "html", "half", "cut", "reset", "silent", "429"],
)
def test_a_fault_is_tried_again(reply: Reply, caplog: pytest.LogCaptureFixture) -> None:
    if reply.status == 429:
        reply = reply_json({"success": False, "error": "limit"}, 429, {"RateLimit-Reset": "0.05"})
    waits: list[float] = []

    async def work(clopos: Clopos) -> tuple[Item | None, int]:
        return await get_fifth(clopos), clopos.requests

    brand = Brand(make_receipts(5), intervene=failing_first(reply, times=2))
    with caplog.at_level(logging.DEBUG, "clopos_assets"):
        (receipt, requests), server = run_with(brand, work, on_wait=lambda seconds, reason: waits.append(seconds))
    assert receipt is not None
    assert requests == server.count("/receipts/5") == 3
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [line.partition("; try ")[2].partition(" in ")[0] for line in warnings] == [
        "2 of 4 follows",
        "3 of 4 follows",
    ]
    assert len(waits) >= 2


def test_slow_drips_are_given_up() -> None:
    brand = Brand(intervene=always(Reply(body=b"x" * 1000, fault="drip")))
    with pytest.raises(CloposUnavailableError, match=r"given up after 2 tries, the last: no whole answer within 0.3 s"):
        run_with(brand, get_fifth, attempts=2, timeout_seconds=0.3)


def test_faults_end() -> None:
    brand = Brand(intervene=always(Reply(502, b"<html>", "text/html")))
    with Server(brand.answer) as server:

        async def run() -> None:
            async with connect(server) as clopos:
                await clopos.get_receipt(5, 7)

        with pytest.raises(
            CloposUnavailableError, match=r"GET /v2/receipts/5 \(venue 7\): given up after 4 tries.*502"
        ):
            asyncio.run(run())
        assert server.count("/receipts/5") == 4


@pytest.mark.parametrize(
    ("reply", "remedy"),
    [
        (Reply(502, b"<html>", "text/html"), "run again later"),
        (Reply(fault="reset"), "run again later"),
        (Reply(200, b"<html>", "text/html"), "run again later, and check CLOPOS_BASE_URL if that does not help"),
    ],
    ids=["502", "reset", "html"],
)
def test_an_answer_that_clopos_does_not_give_leads_to_the_address(reply: Reply, remedy: str) -> None:
    with pytest.raises(CloposUnavailableError) as caught:
        run_with(Brand(intervene=always(reply)), get_fifth, attempts=2)
    assert str(caught.value).startswith("GET /v2/receipts/5: given up after 2 tries, the last: ")
    assert str(caught.value).endswith(f"; {remedy}")


def test_where_nobody_listens_the_line_leads_to_the_address() -> None:
    with Server(lambda asked: Reply()) as server:
        clopos = connect(server, attempts=2)

    async def run() -> None:
        async with clopos:
            await get_fifth(clopos)

    with pytest.raises(CloposUnavailableError) as caught:
        asyncio.run(run())
    assert str(caught.value).startswith("POST /v2/auth: given up after 2 tries, the last: ")
    assert str(caught.value).endswith("; run again later, and check CLOPOS_BASE_URL if that does not help")


def test_a_retry_after_is_the_least_wait() -> None:
    class WaitedError(Exception):
        pass

    def on_wait(seconds: float, reason: str) -> None:
        raise WaitedError(f"{seconds:.0f} s: {reason}")

    brand = Brand(intervene=always(Reply(503, headers={"Retry-After": "40"})))
    with pytest.raises(WaitedError, match="40 s: HTTP 503"):
        run_with(brand, get_fifth, on_wait=on_wait)


@pytest.mark.parametrize("reset", ["1768820900", "1768820900000", "86401", "Mon, 19 Jan 2026 11:07:49 GMT"])
@pytest.mark.parametrize("dialect", [V1, V2], ids=["v1", "v2"])
def test_a_reset_that_is_no_number_of_seconds_is_no_wait(reset: str, dialect: Dialect) -> None:
    """The quota waits for a window then, as where nothing is told."""
    headers = {f"{dialect.rate_limit_headers}Reset": reset, "Date": "Thu, 01 Jan 1970 00:00:00 GMT"}
    refusal = reply_json({"success": False, "error": "limit"}, 429, headers)
    brand = Brand(make_receipts(5), intervene=failing_first(refusal))
    receipt, server = run_with(brand, lambda clopos: clopos.get_receipt(5, 7), quota=Quota(300, 0.05), dialect=dialect)
    assert receipt is not None
    assert server.count("/receipts/5") == 2


@pytest.mark.parametrize("status", [429, 503])
def test_an_endless_retry_after_is_not_waited_for(status: int) -> None:
    def on_wait(seconds: float, reason: str) -> None:
        raise AssertionError(f"it waits {seconds} s: {reason}")

    brand = Brand(intervene=always(Reply(status, headers={"Retry-After": "86400"})))
    with pytest.raises(CloposUnavailableError, match=r"given up after 1 try.*, which asks to wait 1,440 minutes; run"):
        run_with(brand, get_fifth, on_wait=on_wait)


def test_answers_beyond_measure_are_not_read_and_tried_again() -> None:
    brand = Brand(make_receipts(5), intervene=failing_first(Reply(body=b" " * 3000)))
    receipt, server = run_with(brand, get_fifth, max_body_bytes=2000)
    assert receipt is not None
    assert server.count("/receipts/5") == 2
    brand = Brand(intervene=always(Reply(body=b" " * 3000)))
    with pytest.raises(
        CloposUnavailableError, match=r"GET /v2/receipts/5: given up after 4 tries, the last: .* 2,000 bytes.*run again"
    ):
        run_with(brand, get_fifth, max_body_bytes=2000)


def test_the_answer_about_one_receipt_is_bounded_more_tightly_than_a_page() -> None:
    padding = b" " * 9_000_000
    brand = Brand(make_receipts(5))
    answer = brand.answer
    with Server(lambda asked: pad(answer(asked), padding) if "/receipts" in asked.path else answer(asked)) as server:

        async def run() -> None:
            async with connect(server, attempts=1, max_body_bytes=10_000_000) as clopos:
                assert (await list_ids(clopos)).total == 5
                await get_fifth(clopos)

        with pytest.raises(CloposUnavailableError, match="the answer is larger than 8,388,608 bytes"):
            asyncio.run(run())


def pad(reply: Reply, padding: bytes) -> Reply:
    return replace(reply, body=reply.body + padding)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    with Server(lambda asked: reply_json({"success": True, "data": {"id": 5}})) as elsewhere:
        location = f"http://localhost:{elsewhere.port}/open-api/v2/receipts/5?token=hidden"
        brand = Brand(intervene=always(Reply(status, headers={"Location": location})))
        with pytest.raises(
            CloposRefusedError, match=f"HTTP {status} redirects to localhost, which is not followed"
        ) as caught:
            run_with(brand, get_fifth)
        assert elsewhere.asked == []
    assert "hidden" not in str(caught.value)


def test_a_long_list_of_one_day_that_never_stands_still_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    totals = count(30)

    async def ask_page(*_: object, **__: object) -> Page:
        return Page([{"id": 1}], next(totals))

    async def work(clopos: Clopos) -> None:
        monkeypatch.setattr(clopos, "_ask_page", ask_page)
        await clopos.list_receipts(created_from=LAST, created_to=LAST, venue_id=None, convert=list)

    with pytest.raises(CloposUnavailableError, match="the list was read 6 times and is never whole"):
        run_with(Brand(), work)


def test_requests_under_way_are_bounded() -> None:
    """Each takes a connection for itself while it waits for its answer."""
    brand = Brand(intervene=always(reply_json({"data": []}, delay=0.02, headers=RATE)))

    async def work(clopos: Clopos) -> None:
        await asyncio.gather(*(clopos.get_stock_operations(number, None) for number in range(60)))

    _, server = run_with(brand, work)
    assert server.count("/stock-operations") == 60
    assert 1 < len({asked.connection for asked in server.asked}) <= 16


# Tokens


def test_a_token_that_expires_under_way_is_renewed_once_for_all() -> None:
    brand = Brand(make_receipts(40))

    async def work(clopos: Clopos) -> int:
        assert await get_fifth(clopos) is not None
        brand.accepted.clear()
        found = await asyncio.gather(*(clopos.get_receipt(number, None) for number in range(1, 41)))
        assert [receipt and receipt["id"] for receipt in found] == list(range(1, 41))
        return clopos.requests

    requests, server = run_with(brand, work)
    assert server.count("/auth") == 2
    assert 42 <= requests <= 41 + 16


def test_tokens_and_quota_outlive_a_loop() -> None:
    tokens, quota = TokenCache(), Quota(300, 60)
    with Server(Brand(make_receipts(5)).answer) as server:

        async def run() -> None:
            async with connect(server, tokens=tokens, quota=quota) as clopos:
                assert await get_fifth(clopos) is not None

        asyncio.run(run())
        asyncio.run(run())
        assert server.count("/auth") == 1


@pytest.mark.parametrize("words", ["Token expired", "Invalid token"])
def test_a_token_refused_when_new_is_final(words: str) -> None:
    brand = Brand(intervene=always(refuse(words, 401)))
    with Server(brand.answer) as server:

        async def run() -> None:
            async with connect(server) as clopos:
                await get_fifth(clopos)

        with pytest.raises(CloposRefusedError, match=f"{words}.*just issued"):
            asyncio.run(run())
        assert (server.count("/auth"), server.count("/receipts/5")) == (2, 2)


def test_a_new_token_that_was_taken_and_has_ended_since_is_renewed_too() -> None:
    """Receipt 1 is refused the new token as well, after receipt 2 was read with it."""
    expired = refuse("Token expired", 401)
    answers = {1: [expired, replace(expired, delay=0.5)], 2: [expired]}

    def intervene(asked: Asked) -> Reply | None:
        left = answers.get(int(asked.path.rpartition("/")[2]), []) if "/receipts/" in asked.path else []
        return left.pop(0) if left else None

    async def work(clopos: Clopos) -> None:
        assert await get_fifth(clopos) is not None
        found = await asyncio.gather(clopos.get_receipt(1, None), clopos.get_receipt(2, None))
        assert [receipt and receipt["id"] for receipt in found] == [1, 2]

    _, server = run_with(Brand(make_receipts(5), intervene=intervene), work)
    assert server.count("/auth") == 3
    assert server.count("/receipts/1") == 3


def test_a_token_that_only_some_answers_take_ends_soon() -> None:
    """One endpoint takes no token at all, while the list takes each: that is no reason to authenticate for ever."""
    refused = replace(refuse("Invalid token", 401), delay=0.05)

    async def work(clopos: Clopos) -> list[object]:
        asking = asyncio.gather(
            *(clopos.get_stock_operations(number, None) for number in range(1, 6)), return_exceptions=True
        )
        while not asking.done():
            await list_ids(clopos)
            await asyncio.sleep(0.01)
        return list(await asking)

    brand = Brand(make_receipts(5), intervene=lambda asked: refused if asked.path.endswith("operations") else None)
    outcomes, server = run_with(brand, work)
    assert ["just issued" in str(outcome) for outcome in outcomes] == [True] * 5
    assert server.count("operations") <= 5 * 4


@pytest.mark.parametrize("words", [("unauthorized", "Session unknown"), ("", "Unauthenticated.")])
def test_a_token_that_ends_in_other_words_is_renewed(words: tuple[str, str]) -> None:
    brand = Brand(make_receipts(5))

    async def work(clopos: Clopos) -> None:
        assert await get_fifth(clopos) is not None
        brand.intervene = failing_first(refuse(words[0], 401, words[1]))
        assert await get_fifth(clopos) is not None

    _, server = run_with(brand, work)
    used = [asked.headers.get("x-token") for asked in server.asked if asked.path.endswith("/receipts/5")]
    assert used == ["token-of-the-brand-1", "token-of-the-brand-1", "token-of-the-brand-2"]


@pytest.mark.parametrize(
    ("words", "tokens"),
    [(("unauthorized", "Session unknown"), 2), (("unauthorized", "Client is disabled"), 1)],
    ids=["unknown", "known"],
)
def test_what_is_refused_in_other_words_again_is_final(words: tuple[str, str], tokens: int) -> None:
    brand = Brand(make_receipts(5))

    async def work(clopos: Clopos) -> None:
        assert await get_fifth(clopos) is not None
        brand.intervene = lambda asked: None if asked.path.endswith("/auth") else refuse(words[0], 401, words[1])
        with pytest.raises(CloposRefusedError, match=rf"{words[1]}.*CLOPOS_CLIENT_ID"):
            await get_fifth(clopos)

    _, server = run_with(brand, work)
    used = [asked.headers.get("x-token") for asked in server.asked if asked.path.endswith("/receipts/5")]
    assert used == ["token-of-the-brand-1", *(f"token-of-the-brand-{number + 1}" for number in range(tokens))]


class _SlowDesk(TokenCache):
    """Its second answer takes eleven seconds by the quota's clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._asked = 0

    def clock(self) -> float:
        return self.now

    async def get(
        self, connection: Connection, ask: Callable[[], Awaitable[Grant]], venue_id: int | None = None
    ) -> str:
        self._asked += 1
        self.now += 11 if self._asked == 2 else 0
        return await super().get(connection, ask, venue_id)


@pytest.mark.parametrize("windows", [1, 2])
def test_a_slot_that_waited_long_for_its_token_is_not_used(windows: int) -> None:
    desk = _SlowDesk()
    quotas = [Quota(1, 60 * 60**window, clock=desk.clock) for window in range(windows)]

    async def work(clopos: Clopos) -> tuple[Item | None, int]:
        return await get_fifth(clopos), clopos.requests

    (receipt, requests), server = run_with(
        Brand(make_receipts(5)), work, tokens=desk, quota=Quotas(quotas) if windows > 1 else quotas[0]
    )
    assert receipt is not None
    assert requests == server.count("/receipts/5") == 1
    assert desk._asked == 4


def test_wrong_credentials_are_sent_once() -> None:
    brand = Brand()
    with Server(brand.answer) as server:

        async def run() -> list[object]:
            async with connect(server, secret="wrong") as clopos:
                outcomes = await asyncio.gather(
                    *(clopos.get_receipt(number, None) for number in range(20)), return_exceptions=True
                )
                assert clopos.requests == 0
                return list(outcomes)

        outcomes = asyncio.run(run())
        assert all(isinstance(outcome, CloposRefusedError) for outcome in outcomes)
        assert "CLOPOS_CLIENT_SECRET" in str(outcomes[0])
        assert [asked.path for asked in server.asked] == ["/open-api/v2/auth"]


@pytest.mark.parametrize(
    ("kind", "retry_helps"),
    [(CloposError, False), (CloposRefusedError, False), (CloposAnswerError, False), (CloposUnavailableError, True)],
)
def test_errors_say_whether_a_retry_helps(kind: type[CloposError], retry_helps: bool) -> None:
    assert kind("x").retry_helps is retry_helps
