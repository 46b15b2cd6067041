"""The three rate limits, with a clock that the test moves."""

from datetime import date

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from clopos_assets.sandbox import History, HistoryOptions, LimitOptions, Limits, Sandbox, World
from clopos_assets.sandbox.server import client_settings

from .asking import Asker


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def served(world: World, options: LimitOptions, clock: FakeClock) -> Sandbox:
    return Sandbox(world, limits=options, clock=clock)


def test_the_defaults_are_the_documented_ones() -> None:
    options = Limits().options
    assert (options.requests, options.failures, options.authentications) == (300, 600, 60)
    assert options.window_seconds == 60


def test_headers_count_down_and_name_the_seconds(vendor_world: World, clock: FakeClock) -> None:
    with served(vendor_world, LimitOptions(requests=3), clock) as sandbox, Asker(sandbox) as asker:
        assert asker.get("/v2/venues").rate == (3, 2, 60)
        clock.now += 10.5
        assert asker.get("/v2/receipts/1").rate == (3, 1, 50)
        assert asker.get("/v2/receipts/1/stock-operations").rate == (3, 0, 50)
        refused = asker.get("/v2/receipts")
        assert refused.status == 429
        assert refused.json["success"] is False
        assert refused.json["error"] == "Too Many Requests"
        assert refused.rate == (3, 0, 50)


def test_waiting_for_the_reset_is_enough_and_refusals_cost_nothing(vendor_world: World, clock: FakeClock) -> None:
    with served(vendor_world, LimitOptions(requests=2), clock) as sandbox, Asker(sandbox) as asker:
        asker.get("/v2/venues")
        clock.now += 20.25
        asker.get("/v2/venues")
        for _ in range(5):
            refused = asker.get("/v2/venues")
            assert refused.status == 429
        clock.now += refused.rate[2] - 1
        assert asker.get("/v2/venues").status == 429
        clock.now += 1
        assert asker.get("/v2/venues").status == 200
        assert asker.get("/v2/venues").status == 429  # the window slides: only the first request has left it


def test_tokens_and_venues_share_one_budget(clock: FakeClock) -> None:
    history = History(HistoryOptions(start_date=date(2026, 1, 1), venues=2, receipts_per_day=0))
    with served(history.world, LimitOptions(requests=4), clock) as sandbox, Asker(sandbox) as asker:
        assert asker.get("/v2/venues").rate[1] == 3
        assert asker.get("/v2/receipts", venue=2).rate[1] == 2
        asker.token = None
        assert asker.get("/v2/receipts").rate[1] == 1
        assert asker.get("/v2/receipts", venue=2).rate[1] == 0
        assert asker.get("/v2/receipts", venue=1).status == 429


def test_brands_have_budgets_of_their_own(clock: FakeClock) -> None:
    limits = Limits(LimitOptions(requests=1), clock)
    assert limits.take_request("i:one").allowed
    assert not limits.take_request("i:one").allowed
    assert limits.take_request("i:two").allowed


def test_errors_spend_too_and_carry_the_headers(vendor_world: World, clock: FakeClock) -> None:
    with served(vendor_world, LimitOptions(requests=5), clock) as sandbox, Asker(sandbox) as asker:
        assert asker.get("/v2/receipts/404").rate == (5, 4, 60)
        assert asker.get("/v2/receipts?page=0").rate == (5, 3, 60)


def test_failures_are_limited_per_address_before_the_token_is_looked_at(vendor_world: World, clock: FakeClock) -> None:
    with served(vendor_world, LimitOptions(failures=3), clock) as sandbox, Asker(sandbox) as asker:
        good = asker.token
        asker.token = "bad"
        remaining = []
        for _ in range(3):
            answer = asker.get("/v2/receipts")
            assert answer.status == 401
            assert answer.rate[0] == 3
            remaining.append(answer.rate[1])
        assert remaining == [2, 1, 0]
        asker.token = good
        assert asker.get("/v2/receipts").status == 429
        clock.now += 60
        assert asker.get("/v2/receipts").status == 200


def test_successes_do_not_count_as_failures(vendor_world: World, clock: FakeClock) -> None:
    with served(vendor_world, LimitOptions(failures=1), clock) as sandbox, Asker(sandbox) as asker:
        assert [asker.get("/v2/venues").status for _ in range(4)] == [200] * 4


def test_authentications_are_limited_per_address(vendor_world: World, clock: FakeClock) -> None:
    with served(vendor_world, LimitOptions(authentications=2), clock) as sandbox, Asker(sandbox) as asker:
        assert asker.authenticate().rate == (2, 1, 60)
        assert asker.authenticate(client_secret="wrong").rate == (2, 0, 60)
        clock.now += 30
        refused = asker.authenticate()
        assert (refused.status, refused.json["success"], refused.rate) == (429, False, (2, 0, 30))
        clock.now += 30
        assert asker.authenticate().status == 200


def test_the_window_is_an_option(clock: FakeClock) -> None:
    limits = Limits(LimitOptions(requests=1, window_seconds=6), clock)
    assert limits.take_request("t").reset == 6
    clock.now += 5.9
    assert not limits.take_request("t").allowed
    clock.now += 0.1
    assert limits.take_request("t").allowed


def test_requests_are_counted_by_route(asker: Asker) -> None:
    asker.get("/v2/receipts?limit=1", venue=1)
    asker.get("/v2/receipts/1")
    asker.get("/v2/receipts/2")
    asker.get("/v2/receipts/1/stock-operations")
    requests = asker.sandbox.requests
    assert requests.counts() == {
        ("POST", "/v2/auth"): 1,
        ("GET", "/v2/receipts"): 1,
        ("GET", "/v2/receipts/{id}"): 2,
        ("GET", "/v2/receipts/{id}/stock-operations"): 1,
    }
    assert requests.count("GET", "/v2/receipts/{id}") == 2
    assert requests.total() == 5
    assert [each.status for each in requests.latest()] == [200, 200, 200, 404, 200]
    listed = requests.latest()[1]
    assert (listed.path, listed.query, listed.venue) == ("/open-api/v2/receipts", "limit=1", "1")
    asker.sandbox.reset()
    assert requests.total() == 0
    assert requests.latest() == []


def test_a_fault_can_stand_in_for_an_answer(asker: Asker) -> None:
    async def fail(request: Request) -> Response | None:
        if request.url.path.endswith("/stock-operations"):
            return PlainTextResponse("<html>bad gateway</html>", 502)
        return None

    asker.sandbox.hooks.answer_instead = fail
    assert asker.get("/v2/receipts/1/stock-operations").status == 502
    assert asker.get("/v2/receipts/1").status == 200
    asker.sandbox.reset()
    assert asker.get("/v2/receipts/1/stock-operations").status == 200


def test_settings_name_the_quota(vendor_world: World) -> None:
    settings = client_settings("http://x", vendor_world, LimitOptions(requests=30, window_seconds=6))
    assert (settings["CLOPOS_REQUESTS_PER_WINDOW"], settings["CLOPOS_WINDOW_SECONDS"]) == ("30", "6")
