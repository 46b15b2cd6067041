"""A look over several venues: turns, failures that stay with their venue, and the bound on what is remembered."""

import asyncio
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from clopos_assets.clopos.errors import CloposAnswerError, CloposError, CloposRefusedError, CloposUnavailableError
from clopos_assets.ingest import Scope
from clopos_assets.lake import Lake
from clopos_assets.late.budget import Budget
from clopos_assets.late.deciding import Surroundings
from clopos_assets.late.look import Look, before_repeats, look
from clopos_assets.late.sighting import Sighted
from clopos_assets.late.state import Asked, Reading, State, Unread
from clopos_assets.tables import Table
from tests.ingest.shop import Shop, days_from, open_shop

DAY = "2026-01-19"


@dataclass
class Chain:
    """A brand of three venues, one receipt of each on one date that is made, and looks at it one after the other."""

    shop: Shop
    state: State
    passed: float = 0

    def look(self, pages: int = 25, seconds: float = 20, scope: Scope | None = None) -> Look:
        around = Surroundings(
            lake=self.shop.lake,
            partitions=days_from("2026-01-10", 14),
            first_date="2026-01-10",
            run_state=lambda _: "running",
            behind={},
            now=1_000_000,
            poll_seconds=300,
        )

        async def once() -> Look:
            async with self.shop.clopos() as clopos:
                return await look(
                    clopos, scope or self.shop.scope, self.state, around, Budget(pages, seconds, lambda: self.passed)
                )

        self.passed = 0
        self.shop.sandbox.requests.reset()
        seen = asyncio.run(once())
        self.state = seen.state
        return seen

    def venues_asked(self) -> list[str]:
        return [asked.venue or "" for asked in self.shop.sandbox.requests.latest() if asked.route == "/v2/receipts"]

    def refuse(self, is_refused: Callable[[str | None], bool]) -> None:
        async def instead(request: Request) -> Response | None:
            if request.url.path.endswith("/receipts") and is_refused(request.headers.get("x-venue")):
                return Response('{"success": false, "error": "forbidden", "message": "No access"}', 403)
            return None

        self.shop.sandbox.hooks.answer_instead = instead


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    with open_shop(tmp_path, venues=3) as shop:
        for venue_id in (1, 2, 3):
            shop.sell(venue_id, DAY, venue_id=venue_id, updated_at=f"2026-01-19 12:00:0{venue_id}")
        shop.make(DAY)
        yield Chain(shop, State(read={venue: Reading("2026-01-19 00:00:00") for venue in ("", "1", "2", "3")}))


def test_every_venue_is_read_to_a_place_of_its_own(chain: Chain) -> None:
    seen = chain.look()
    assert seen.pages == 3
    assert set(seen.sighted.receipts) == {"1", "2", "3"}
    for venue in (1, 2, 3):
        assert chain.state.read[str(venue)] == Reading(f"2026-01-19 12:00:0{venue}")
    chain.shop.sell(4, DAY, venue_id=2, updated_at="2026-01-20 12:00:00")
    (request,) = chain.look().decision.requests
    assert list(request.receipts[DAY]) == ["4"]


def test_a_venue_not_read_before_starts_from_what_the_lake_knows(chain: Chain) -> None:
    """With days to spare, for changes that are dated back."""
    chain.shop.sell(4, DAY, updated_at="2026-01-19 13:00:00")
    chain.shop.make(DAY)
    chain.state = State()
    chain.shop.sell(5, DAY, venue_id=2, updated_at="2026-01-16 13:00:00")
    chain.shop.sell(6, DAY, venue_id=2, updated_at="2026-01-10 12:00:00")
    seen = set(chain.look().sighted.receipts)
    assert {"4", "5"} <= seen
    assert "6" not in seen
    assert set(chain.state.read) == {"1", "2", "3"}


@pytest.mark.parametrize("unread", [None, Unread(1, 3, "2026-01-19 00:00:00")])
def test_a_venue_read_up_to_a_time_ahead_starts_from_what_the_lake_knows(chain: Chain, unread: Unread | None) -> None:
    chain.look()
    chain.shop.sell(4, DAY, venue_id=2, updated_at="2026-01-20 12:00:00")
    chain.state = replace(chain.state, read=chain.state.read | {"2": Reading("9999-01-01 00:00:00", unread)})
    (request,) = chain.look().decision.requests
    assert list(request.receipts[DAY]) == ["4"]
    assert chain.state.read["2"] == Reading("2026-01-20 12:00:00")


@pytest.mark.parametrize("now", [(1, 0), (1, 30), (2, 10), (5, 0)])
def test_what_changes_in_the_second_of_two_equal_hours_is_seen(chain: Chain, now: tuple[int, int]) -> None:
    """At 3:00 of summer, which is 1:00 UTC, clocks go back to 2:00; it was read up to 2:53 of summer."""
    chain.state = State(read={venue: Reading("2025-10-26 02:53:00") for venue in ("1", "2", "3")})
    chain.shop.sell(4, DAY, updated_at="2025-10-26 02:10:00")
    chain.shop.sell(5, DAY, updated_at="2025-10-26 01:50:00")
    clock = datetime(2025, 10, 26, *now, tzinfo=UTC)
    scope = dataclasses.replace(chain.shop.scope, zone=ZoneInfo("Europe/Berlin"), clock=lambda: clock)
    seen = chain.look(scope=scope)
    assert "4" in seen.sighted.receipts
    assert "5" not in seen.sighted.receipts


def test_what_shows_late_while_clocks_go_forward_is_seen(chain: Chain) -> None:
    """At 2:00 of winter, which is 1:00 UTC, clocks go on to 3:00."""
    day = "2026-03-29"
    chain.state = State(read={venue: Reading(f"{day} 01:00:00") for venue in ("1", "2", "3")})

    def at(minute: int) -> Look:
        clock = datetime(2026, 3, 29, 1, minute, 10, tzinfo=UTC)
        return chain.look(
            scope=dataclasses.replace(chain.shop.scope, zone=ZoneInfo("Europe/Berlin"), clock=lambda: clock)
        )

    chain.shop.sell(4, DAY, updated_at=f"{day} 01:59:50")
    assert "4" in at(0).sighted.receipts
    chain.shop.sell(5, DAY, updated_at=f"{day} 01:59:20")
    assert "5" in at(5).sighted.receipts


@pytest.mark.parametrize(
    ("zone", "stamp", "before"),
    [
        ("Europe/Berlin", "2025-10-26 01:59:59", "2025-10-26 01:59:59"),
        ("Europe/Berlin", "2025-10-26 02:00:00", "2025-10-26 01:00:00"),
        ("Europe/Berlin", "2025-10-26 02:59:59", "2025-10-26 01:59:59"),
        ("Europe/Berlin", "2025-10-26 03:00:00", "2025-10-26 03:00:00"),
        ("Europe/Berlin", "2025-03-30 02:30:00", "2025-03-30 02:30:00"),
        ("Australia/Lord_Howe", "2025-04-06 01:45:00", "2025-04-06 01:15:00"),
        ("Asia/Baku", "2025-10-26 02:30:00", "2025-10-26 02:30:00"),
        ("Asia/Baku", "0001-01-01 00:00:00", "0001-01-01 00:00:00"),
    ],
)
def test_times_before_an_hour_that_comes_twice(zone: str, stamp: str, before: str) -> None:
    assert before_repeats(stamp, ZoneInfo(zone)) == before
    assert before_repeats(before, ZoneInfo(zone)) == before


def test_where_there_is_not_time_for_all_each_has_its_turn(chain: Chain) -> None:
    asked = []
    for _ in range(3):
        chain.look(pages=2)
        asked += chain.venues_asked()
    assert sorted(asked[:3]) == ["1", "2", "3"]
    assert asked[3:] == asked[:3]


def test_a_venue_that_is_refused_costs_the_others_nothing(chain: Chain) -> None:
    chain.refuse(lambda venue: venue == "2")
    seen = chain.look()
    assert list(seen.failed) == ["2"]
    assert "No access" in seen.failed["2"]
    assert set(seen.sighted.receipts) == {"1", "3"}
    chain.shop.answer_truly()
    assert chain.look().sighted.receipts.keys() >= {"2"}


def test_where_no_venue_can_be_read_the_reason_is_raised(chain: Chain) -> None:
    chain.refuse(lambda _: True)
    with pytest.raises(CloposRefusedError, match="No access"):
        chain.look()


def test_the_tokens_own_venue_and_named_ones(chain: Chain) -> None:
    chain.shop.venue_ids = None
    assert set(chain.look().sighted.receipts) == {"1"}
    assert chain.venues_asked() == [""]
    chain.shop.venue_ids = (3,)
    assert set(chain.look().sighted.receipts) == {"3"}


def test_a_brand_that_names_no_venues(chain: Chain) -> None:
    chain.shop.answer("/venues", '{"success": true, "data": [], "total": 0}')
    with pytest.raises(CloposAnswerError, match="CLOPOS_VENUE_IDS"):
        chain.look()


@pytest.mark.parametrize(("years", "venues"), [(1, {"1", "2", "3"}), (4, set())])
def test_the_time_that_a_long_lake_takes_is_not_that_of_asking(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, years: int, venues: set[str]
) -> None:
    """Up to a bound, for a tick has to end; the notes of all dates are read once, though two want to know them."""
    readings = []
    notes_each = Lake.notes_each

    def take_long(lake: Lake, table: Table, shift_dates: Sequence[str]) -> Iterator[tuple[str, object]]:
        readings.append(list(shift_dates))
        chain.passed += 15 * years
        return notes_each(lake, table, shift_dates)

    monkeypatch.setattr(Lake, "notes_each", take_long)
    chain.state = State()
    assert set(chain.look(seconds=10).sighted.receipts) == venues
    assert readings == [[DAY]]


def test_no_time_is_no_answer(chain: Chain) -> None:
    with pytest.raises(CloposUnavailableError, match="no page came within 0 s"):
        chain.look(seconds=0)


def test_where_the_list_of_venues_takes_all_there_is_every_other_look_goes_without_it(chain: Chain) -> None:
    """As with a quota of one request: what is spent here is the time."""

    async def spend(request: Request) -> None:
        if request.url.path.endswith("/venues"):
            chain.passed = 1_000

    chain.shop.sandbox.hooks.answer_instead = spend
    for state in (State(), chain.state):
        chain.state = state
        seen = chain.look()
        assert (seen.pages, chain.venues_asked(), seen.failed) == (0, [], {})
        assert seen.starved == "no page came within 20 s"
        seen = chain.look()
        assert (set(seen.sighted.receipts), chain.venues_asked(), seen.starved) == (
            {"1", "2", "3"},
            ["1", "2", "3"],
            "",
        )
        assert "/v2/venues" not in [asked.route for asked in chain.shop.sandbox.requests.latest()]
    # One more venue is seen by the next look that asks for them, and read by the one after that.
    del chain.state.read["3"]
    assert chain.look().lacking == {}
    assert chain.look().sighted.receipts.keys() >= {"3"}


def test_a_look_without_the_list_of_venues_that_gets_nothing_leaves_it_at_that(chain: Chain) -> None:
    chain.state = replace(chain.state, is_starved=True)
    with pytest.raises(CloposUnavailableError, match="no page came"):
        chain.look(seconds=-1)


def test_nothing_more_is_read_while_too_much_is_awaited(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clopos_assets.late.look.MOST_RECEIPTS", 2)
    waited_for = {"8": "00", "9": "00"}
    chain.state = State(asked={DAY: Asked("key", 0, 2_000_000, waited_for)})
    seen = chain.look()
    assert (seen.is_full, seen.pages, chain.venues_asked()) == (True, 0, [])
    assert chain.state.asked[DAY].receipts == waited_for


def test_a_venue_must_answer_for_itself(chain: Chain) -> None:
    chain.shop.answer("/receipts", '{"success": true, "total": 1, "data": [{"id": 1, "venue_id": 1}]}')
    seen = chain.look()
    assert seen.sighted.receipts == {}
    assert len(seen.sighted.unreadable) == 3


def sight(shop: Shop, *changes: dict[str, object]) -> Sighted:
    items = [shop.world.receipt(number) | change for number, change in enumerate(changes, start=1)]
    sighted = Sighted()
    sighted.take(items, shop.scope, asked_venue=None, fetched_at=shop.scope.clock())
    return sighted


@pytest.mark.parametrize(
    ("created", "is_listed"), [("01-16", False), ("01-17", True), ("01-19", True), ("01-20", True), ("01-21", False)]
)
def test_the_listing_window_is_inclusive(chain: Chain, created: str, is_listed: bool) -> None:
    sighted = sight(chain.shop, {"created_at": f"2026-{created} 12:00:00"})
    assert sighted.receipts["1"].is_listed is is_listed


def test_receipts_that_cannot_be_read_are_told_and_named(chain: Chain) -> None:
    broken: list[dict[str, object]] = [{"total": "many"}, {}, {"shift_date": "soon"}]
    sighted = sight(chain.shop, *broken)
    assert set(sighted.receipts) == {"1", "2"}
    bad = sighted.receipts["1"]
    assert (bad.receipt_id, bad.shift_date, bad.version[:11]) == (None, DAY, "unreadable ")
    assert sight(chain.shop, {"total": "more"}).receipts["1"].version != bad.version
    assert [text.partition(":")[0] for text in sighted.unreadable] == ["receipt 1", "receipt 3"]
    (nameless,) = sight(chain.shop, {"id": "x"}).receipts
    assert nameless.startswith("? ")


def test_a_budget_counts_answers_and_breaks_off_what_takes_too_long() -> None:
    async def spend() -> list[object]:
        budget = Budget(2, 0.05)

        async def quick() -> int:
            return 1

        async def slow() -> int:
            await asyncio.sleep(60)
            return 2

        budget.on_wait(3, "quota")
        answers: list[object] = [await budget.page(quick), await budget.page(slow), budget.spent]
        return [*answers, await budget.page(quick), str(budget.no_answer())]

    assert asyncio.run(spend()) == [
        1,
        None,
        True,
        None,
        "no page came within 0.05 s; the last wait: quota",
    ]


def test_a_budget_ends_with_its_pages() -> None:
    async def one() -> int:
        return 1

    async def spend() -> list[int | None]:
        budget = Budget(2, 60)
        return [await budget.page(one) for _ in range(3)]

    assert asyncio.run(spend()) == [1, 1, None]


def test_a_time_out_of_something_else_is_not_swallowed() -> None:
    async def fail() -> None:
        raise TimeoutError("of something else")

    with pytest.raises(TimeoutError, match="something else"):
        asyncio.run(Budget(1, 60).page(fail))


def test_errors_are_of_the_api() -> None:
    assert isinstance(Budget(1, 1).no_answer(), CloposError)
