"""How long a run bears an API that gives no good answer, on a clock of the test's own, and what it says then."""

import asyncio
import time

import pytest

from clopos_assets.clopos.errors import CloposUnavailableError
from clopos_assets.clopos.patience import Patience, TryAgainError, tries

from .brand import Brand, connect, make_receipts
from .server import Asked, Reply, Server, reply_json

LINE = (
    "Clopos gives no good answer, and the 15 minutes for which a run bears that are used up; the last: GET /v2/x: "
    "HTTP 503; run again later"
)


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def read(self) -> float:
        return self.now


def _spend(clock: _Clock, patience: Patience, seconds: float) -> None:
    with patience.spending():
        clock.now += seconds


def test_time_of_requests_counts_once_and_time_between_them_does_not() -> None:
    clock = _Clock()
    patience = Patience(clock=clock.read)
    patience.note("GET /v2/x: HTTP 503")
    _spend(clock, patience, 500)
    clock.now += 10_000  # waiting for the quota
    with patience.spending():
        _spend(clock, patience, 400)
        assert not patience.is_over()
        clock.now += 1
        assert patience.is_over()
    with pytest.raises(CloposUnavailableError) as caught:
        patience.check()
    assert str(caught.value) == LINE


def test_a_good_answer_begins_anew() -> None:
    clock = _Clock()
    patience = Patience(clock=clock.read)
    patience.note("HTTP 503")
    _spend(clock, patience, 899)
    with patience.spending():
        patience.renew()
    patience.note("HTTP 503")
    _spend(clock, patience, 899)
    assert not patience.is_over()
    _spend(clock, patience, 2)
    assert patience.is_over()


def test_a_request_that_begins_beside_others_begins_nothing_anew() -> None:
    clock = _Clock()
    patience = Patience(clock=clock.read)
    patience.note("HTTP 503")
    with patience.spending():
        clock.now += 500
        _spend(clock, patience, 401)
        assert patience.is_over()


def test_a_good_answer_begins_anew_for_requests_under_way_too() -> None:
    clock = _Clock()
    patience = Patience(clock=clock.read)
    patience.note("HTTP 503")
    with patience.spending():
        clock.now += 899
        patience.renew()
        clock.now += 10_000
        assert not patience.is_over()
        patience.renew()
        patience.note("HTTP 503")
        clock.now += 899
        assert not patience.is_over()
        clock.now += 2
        assert patience.is_over()


def test_slow_answers_alone_are_no_failure() -> None:
    clock = _Clock()
    patience = Patience(clock=clock.read)
    _spend(clock, patience, 10_000)
    patience.check()


def test_no_pause_leads_beyond_the_bound() -> None:
    clock = _Clock()
    patience = Patience(clock=clock.read)

    async def run() -> None:
        with Server(lambda asked: Reply(404)) as server:
            connection = connect(server)._connection
            async for attempt in tries(connection, "GET /v2/x", patience=patience):
                with attempt:
                    _spend(clock, patience, 600)
                    raise TryAgainError("HTTP 503", 301)

    with pytest.raises(CloposUnavailableError) as caught:
        asyncio.run(run())
    assert str(caught.value) == LINE
    assert clock.now == 600
    with pytest.raises(CloposUnavailableError):
        patience.check()


async def _fail_with(clock: _Clock, patience: Patience, failures: list[tuple[float, TryAgainError]]) -> None:
    """A request whose tries fail so, each after so many seconds, and which then succeeds; pauses pass at once."""
    left = iter(failures)

    async def sleep(seconds: float) -> None:
        clock.now += seconds

    with Server(lambda asked: Reply(404)) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "sleep", sleep)
        async for attempt in tries(connect(server)._connection, "GET /v2/x", patience=patience):
            with attempt:
                seconds, failure = next(left, (0.0, None))
                _spend(clock, patience, seconds)
                if failure is not None:
                    raise failure


def test_pauses_count() -> None:
    clock = _Clock()
    with pytest.raises(CloposUnavailableError) as caught:
        asyncio.run(_fail_with(clock, Patience(clock=clock.read), [(0, TryAgainError("HTTP 503", 500))] * 3))
    assert str(caught.value) == LINE
    assert clock.now == 500


def test_waits_for_the_quota_count_for_nothing_after_a_failure_either() -> None:
    clock = _Clock()
    patience = Patience(clock=clock.read)
    limited = (0.0, TryAgainError("HTTP 429", 500, is_quota=True))
    asyncio.run(_fail_with(clock, patience, [(600, TryAgainError("HTTP 503")), limited, limited]))
    assert clock.now > 1600
    assert not patience.is_over()


def test_a_refusal_for_the_quota_is_no_failure_however_late_it_comes() -> None:
    clock = _Clock()
    patience = Patience(clock=clock.read)
    asyncio.run(_fail_with(clock, patience, [(901, TryAgainError("HTTP 429", is_quota=True))]))
    assert not patience.is_over()


def test_the_line_ends_with_what_may_help_against_the_last_failure() -> None:
    clock = _Clock()
    patience = Patience(clock=clock.read)

    async def run() -> None:
        with Server(lambda asked: Reply(404)) as server:
            async for attempt in tries(connect(server)._connection, "GET /v2/x", patience=patience):
                with attempt:
                    _spend(clock, patience, 901)
                    raise TryAgainError("Name or service not known", maybe_elsewhere=True)

    with pytest.raises(CloposUnavailableError) as caught:
        asyncio.run(run())
    assert str(caught.value) == LINE.replace(
        "HTTP 503; run again later", "Name or service not known; run again later"
    ) + (", and check CLOPOS_BASE_URL if that does not help")


def test_once_it_is_over_nothing_is_sent_for_any_request_of_the_run() -> None:
    brand = Brand(make_receipts(5), intervene=lambda asked: _fail(asked))
    patience = Patience(0.02)

    async def run(server: Server) -> list[object]:
        async with connect(server, attempts=50) as clopos:
            clopos._patience = patience
            first = await asyncio.gather(clopos.get_receipt(1, None), return_exceptions=True)
            sent = server.count("/receipts/1")
            rest = await asyncio.gather(*(clopos.get_receipt(n, None) for n in (2, 3)), return_exceptions=True)
            assert server.count("/receipts/2") == server.count("/receipts/3") == 0
            assert 1 <= sent < 50
            return [*first, *rest]

    with Server(brand.answer) as server:
        outcomes = asyncio.run(run(server))
    assert {type(outcome) for outcome in outcomes} == {CloposUnavailableError}
    assert all("used up; the last: GET /v2/receipts/1" in str(outcome) for outcome in outcomes)


def _fail(asked: Asked) -> Reply | None:
    return None if asked.path.endswith("/auth") else Reply(503)


def test_a_good_answer_to_any_request_begins_anew() -> None:
    clock = _Clock()
    patience = Patience(clock=clock.read)

    async def run(server: Server) -> None:
        async with connect(server) as clopos:
            clopos._patience = patience
            for _ in range(3):
                patience.note("HTTP 503")
                _spend(clock, patience, 800)
                assert await clopos.get_receipt(1, None)

    with Server(Brand(make_receipts(5)).answer) as server:
        asyncio.run(run(server))


def test_a_quota_that_is_used_up_is_no_failure() -> None:
    limited = iter([reply_json({"success": False, "error": "limit"}, 429, {"RateLimit-Reset": "0.05"})] * 3)
    brand = Brand(make_receipts(5), intervene=lambda asked: None if "auth" in asked.path else next(limited, None))

    async def run(server: Server) -> object:
        async with connect(server) as clopos:
            clopos._patience = Patience(0.0, clock=time.monotonic)
            return await clopos.get_receipt(1, None)

    with Server(brand.answer) as server:
        assert asyncio.run(run(server))
