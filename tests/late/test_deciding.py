"""Which shift dates are asked for: given what the lake has, what was seen, and how earlier requests ended."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from threading import Barrier

import pytest

from clopos_assets.ingest.made import RunState
from clopos_assets.ingest.stored import Stored
from clopos_assets.late.deciding import LONGEST_RUN_SECONDS, Decision, Surroundings, decide, names_of
from clopos_assets.late.sighting import Sighting
from clopos_assets.late.state import Asked, Awaited
from clopos_assets.tables import RECEIPTS
from tests.ingest.shop import Shop, days_from

DAYS = ["2026-01-19", "2026-01-20"]
NEW = "00000000000000ff"
NOW = 1_000_000


@dataclass
class Case:
    """A decision to be taken: its surroundings, changed by the test."""

    shop: Shop
    runs: dict[str, RunState] = field(default_factory=dict)
    behind: Mapping[str, Collection[str]] = field(default_factory=dict)
    now: float = NOW
    asked: Mapping[str, Asked] = field(default_factory=dict)
    kept: Mapping[str, Awaited] = field(default_factory=dict)
    begun: int = 0

    def decide(self, *sightings: Sighting) -> Decision:
        around = Surroundings(
            lake=self.shop.lake,
            partitions=days_from("2026-01-10", 14),
            first_date="2026-01-10",
            run_state=lambda run_key: self.runs.get(run_key, "none"),
            behind=self.behind,
            now=self.now,
            poll_seconds=300,
        )
        decision = decide(self.asked, self.kept, sightings, around, self.begun)
        self.asked, self.kept = decision.asked, decision.kept
        return decision

    def let_runs_be(self, state: RunState) -> None:
        for request in self.asked.values():
            self.runs[request.run_key] = state

    def version(self, receipt_id: int, shift_date: str = DAYS[0]) -> str:
        return Stored.load(self.shop.lake, shift_date).versions[receipt_id].hex()


@pytest.fixture
def case(shop: Shop) -> Case:
    """Both dates made, nothing asked for."""
    shop.make(*DAYS)
    return Case(shop)


def seen(receipt_id: int, shift_date: str = DAYS[0], version: str = NEW, *, is_listed: bool = True) -> Sighting:
    return Sighting(str(receipt_id), receipt_id, 1, shift_date, version, is_listed)


def unreadable(receipt_id: int, shift_date: str = DAYS[0]) -> Sighting:
    return Sighting(str(receipt_id), None, 0, shift_date, "unreadable ff", is_listed=True)


def dates(decision: Decision) -> list[list[str]]:
    return [request.shift_dates for request in decision.requests]


def test_a_receipt_as_the_lake_has_it_asks_for_nothing(case: Case) -> None:
    decision = case.decide(seen(1, version=case.version(1)))
    assert decision == Decision()


@pytest.mark.parametrize("receipt_id", [1, 99])
def test_a_changed_or_a_new_receipt_asks_for_its_date(case: Case, receipt_id: int) -> None:
    decision = case.decide(seen(receipt_id))
    assert dates(decision) == [[DAYS[0]]]
    (request,) = decision.requests
    assert request.receipts == {DAYS[0]: {str(receipt_id): NEW}}
    assert decision.asked == {DAYS[0]: Asked(request.run_key, 0, NOW + 300, {str(receipt_id): NEW})}


def test_a_move_asks_for_both_dates_in_one_run(case: Case) -> None:
    decision = case.decide(seen(1, DAYS[1]))
    assert dates(decision) == [DAYS]
    assert decision.requests[0].receipts == {DAYS[0]: {"1": f"gone {NEW}"}, DAYS[1]: {"1": NEW}}
    assert names_of(decision.requests[0].receipts)[0] == ["1"]


def test_a_move_to_a_date_not_made_asks_for_the_old_one(case: Case) -> None:
    decision = case.decide(seen(1, "2026-01-21"))
    assert dates(decision) == [[DAYS[0]]]
    assert decision.unmade == {"2026-01-21": {"1": NEW}}


def test_a_receipt_that_stands_twice_leaves_the_date_that_is_not_its_own(case: Case) -> None:
    case.shop.make("2026-01-18")
    rows = case.shop.lake.read(RECEIPTS, DAYS[0])
    assert rows is not None
    case.shop.lake.replace(RECEIPTS, "2026-01-18", rows.slice(0, 1), {})
    decision = case.decide(seen(1, version=case.version(1)))
    assert dates(decision) == [["2026-01-18"]]


def test_the_same_content_gives_the_same_run_key_and_new_content_another(case: Case) -> None:
    keys = [
        Case(case.shop).decide(*several).requests[0].run_key
        for several in (
            (seen(1), seen(2)),
            (seen(2), seen(1)),
            (seen(1),),
            (seen(1, version="0" * 16),),
            (seen(1), seen(3, DAYS[1])),
            (seen(1, DAYS[1]),),
        )
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 5


def test_what_was_made_is_asked_for_under_another_key_once_the_lake_is_another(case: Case) -> None:
    def key() -> str:
        return Case(case.shop).decide(seen(1)).requests[0].run_key

    before = key()
    rows = case.shop.lake.read(RECEIPTS, DAYS[0])
    assert rows is not None
    case.shop.lake.replace(RECEIPTS, DAYS[0], rows.slice(0, 1), {})
    assert key() != before
    assert key() == key()


def test_what_was_asked_for_before_the_memory_was_lost_is_asked_for_under_another_key(case: Case) -> None:
    keys = {Case(case.shop, begun=begun).decide(seen(1)).requests[0].run_key for begun in (1, 1, 2)}
    assert len(keys) == 2


def test_a_run_that_ended_well_and_wrote_nothing_is_not_asked_for_under_another_key(case: Case) -> None:
    """However often the receipt is seen: Dagster takes a run key once."""
    keys = set()
    for _ in range(5):
        keys |= {request.run_key for request in case.decide(seen(1)).requests}
        case.let_runs_be("succeeded")
    assert len(keys) == 1


def test_what_is_seen_again_while_its_run_is_under_way_is_not_asked_for_again(case: Case) -> None:
    case.decide(seen(1))
    case.let_runs_be("running")
    decision = case.decide(seen(1))
    assert (dates(decision), decision.kept, decision.running) == ([], {}, {DAYS[0]: {"1": NEW}})


@pytest.mark.parametrize("new", [seen(2), seen(1, version="0" * 16)])
def test_what_is_new_meanwhile_is_kept_and_asked_for_then(case: Case, new: Sighting) -> None:
    case.decide(seen(1))
    case.let_runs_be("running")
    assert case.decide(new).kept == {DAYS[0]: {new.name: new.version}}
    assert case.decide().kept == {DAYS[0]: {new.name: new.version}}
    case.let_runs_be("succeeded")
    decision = case.decide()
    assert decision.requests[0].receipts == {DAYS[0]: {new.name: new.version}}
    assert decision.asked[DAYS[0]].tries == 0
    assert decision.kept == {}


def test_a_receipt_that_moves_while_a_run_of_its_old_date_is_under_way_waits_for_that(case: Case) -> None:
    case.decide(seen(99))
    case.let_runs_be("running")
    decision = case.decide(seen(99, DAYS[1], "0" * 16), seen(98, DAYS[1]))
    assert [request.receipts for request in decision.requests] == [{DAYS[1]: {"98": NEW}}]
    assert decision.kept == {DAYS[1]: {"99": "0" * 16}}
    case.let_runs_be("succeeded")
    assert [request.receipts for request in case.decide().requests] == [{DAYS[1]: {"99": "0" * 16}}]


def test_a_receipt_that_waits_for_a_run_of_its_old_date_is_kept_while_the_new_one_is_being_made(case: Case) -> None:
    case.decide(seen(99))
    case.let_runs_be("running")
    with case.shop.lake.locked([DAYS[1]], seconds=1):
        decision = case.decide(seen(99, DAYS[1], "0" * 16), seen(98, DAYS[1]))
    assert decision.kept == {DAYS[1]: {"99": "0" * 16, "98": NEW}}


def test_what_is_kept_and_came_into_the_lake_is_forgotten(case: Case) -> None:
    case.kept = {DAYS[0]: {"1": case.version(1), "3": f"gone {NEW}"}}
    assert case.decide() == Decision()


def test_a_later_sighting_takes_the_place_of_what_is_kept(case: Case) -> None:
    case.kept = {DAYS[0]: {"1": NEW}, DAYS[1]: {"1": f"gone {NEW}"}}
    assert case.decide(seen(1, version=case.version(1))) == Decision()


def test_what_was_asked_for_and_is_in_the_lake_is_over_however_the_run_ended(case: Case) -> None:
    for state in ("running", "failed", "none"):
        case.asked = {DAYS[0]: Asked("key", 3, NOW + 999, {"1": case.version(1)})}
        case.runs["key"] = state
        assert case.decide() == Decision()


def test_a_run_that_succeeded_is_over_though_the_receipt_has_changed_since(case: Case) -> None:
    case.asked = {DAYS[0]: Asked("key", 0, NOW - 1, {"1": NEW})}
    case.runs["key"] = "succeeded"
    assert case.decide() == Decision()


@pytest.mark.parametrize("state", ["failed", "none"])
def test_a_date_not_made_is_asked_for_again_when_its_pause_is_over(case: Case, state: RunState) -> None:
    case.decide(seen(1))
    case.let_runs_be(state)
    pauses = []
    for tries in range(1, 12):
        assert case.decide().paused == {DAYS[0]: {"1": NEW}}
        due = case.asked[DAYS[0]].not_before
        case.now = due
        decision = case.decide()
        assert dates(decision) == [[DAYS[0]]]
        assert decision.asked[DAYS[0]].tries == tries
        case.let_runs_be(state)
        pauses.append(case.asked[DAYS[0]].not_before - due)
    assert pauses == [600, 1200, 2400, 4800, 9600, 19200, *[21600] * 5]
    assert len(case.runs) == 12


def test_a_clock_that_is_set_back_keeps_nothing_waiting(case: Case) -> None:
    case.decide(seen(1))
    case.let_runs_be("failed")
    case.now -= 1
    assert dates(case.decide()) == [[DAYS[0]]]
    case.let_runs_be("failed")
    case.now -= 5 * 3600
    assert dates(case.decide()) == [[DAYS[0]]]
    case.let_runs_be("failed")
    assert dates(case.decide()) == []


def test_only_what_a_failed_run_did_not_make_is_asked_for_again(case: Case) -> None:
    case.asked = {
        DAYS[0]: Asked("key", 0, NOW, {"1": case.version(1)}),
        DAYS[1]: Asked("key", 0, NOW, {"3": NEW}),
    }
    case.runs["key"] = "failed"
    decision = case.decide(seen(2))
    assert dates(decision) == [DAYS]
    assert decision.requests[0].receipts == {DAYS[0]: {"2": NEW}, DAYS[1]: {"3": NEW}}
    assert {day: asked.tries for day, asked in decision.asked.items()} == {DAYS[0]: 0, DAYS[1]: 1}


def test_a_run_that_never_ends_is_taken_for_dead(case: Case) -> None:
    case.asked = {DAYS[0]: Asked("key", 0, NOW, {"1": NEW})}
    case.runs["key"] = "running"
    case.now = NOW + LONGEST_RUN_SECONDS - 1
    assert dates(case.decide()) == []
    case.now += 1
    assert dates(case.decide()) == [[DAYS[0]]]


def test_a_date_that_is_being_made_is_kept(case: Case) -> None:
    with case.shop.lake.locked([DAYS[0]], seconds=1):
        decision = case.decide(seen(1), seen(3, DAYS[1]))
    assert dates(decision) == [[DAYS[1]]]
    assert decision.kept == {DAYS[0]: {"1": NEW}}


def test_a_date_to_be_asked_for_again_that_is_being_made_waits(case: Case) -> None:
    asked = {DAYS[0]: Asked("key", 1, NOW, {"1": NEW})}
    case.asked = asked
    with case.shop.lake.locked([DAYS[0]], seconds=1):
        assert case.decide().asked == asked


def test_a_date_being_made_for_the_first_time_is_kept_until_it_is_made_or_not(case: Case) -> None:
    with case.shop.lake.locked(["2026-01-21"], seconds=1):
        assert case.decide(seen(4, "2026-01-21")).kept == {"2026-01-21": {"4": NEW}}
    other = Case(case.shop, kept=dict(case.kept))
    assert (dates(case.decide()), case.kept) == ([], {})
    case.shop.make("2026-01-21")
    assert dates(other.decide()) == [["2026-01-21"]]


@pytest.mark.parametrize(
    ("shift_date", "waits"), [("2026-01-09", False), ("2026-01-24", True), ("9999-12-31", True), ("0001-01-01", False)]
)
def test_a_date_that_is_no_partition_is_not_asked_for(case: Case, shift_date: str, waits: bool) -> None:
    decision = case.decide(seen(4, shift_date, is_listed=False))
    assert (dates(decision), decision.kept, decision.outside) == ([], {}, {shift_date: {"4": NEW}})
    assert (case.shop.lake.waiting(shift_date) == {4: 1}) is waits


def test_a_date_that_was_asked_for_and_taken_out_of_the_lake_is_forgotten(case: Case) -> None:
    case.asked = {DAYS[0]: Asked("key", 0, NOW, {"1": NEW})}
    case.runs["key"] = "failed"
    case.shop.lake.path(RECEIPTS, DAYS[0]).unlink()
    assert (dates(case.decide()), case.asked) == ([], {})


@pytest.mark.parametrize("shift_date", [DAYS[0], "2026-01-21"])
def test_a_receipt_that_no_listing_of_its_date_shows_waits_for_it(case: Case, shift_date: str) -> None:
    case.decide(seen(4, shift_date, is_listed=False), seen(5, shift_date))
    assert case.shop.lake.waiting(shift_date) == {4: 1}


def test_a_receipt_that_waits_and_goes_to_another_venue_waits_there(case: Case) -> None:
    for venue_id in (1, 2, 2, 1):
        case.decide(replace(seen(4, "2026-01-21", is_listed=False), venue_id=venue_id))
        assert case.shop.lake.waiting("2026-01-21") == {4: venue_id}


def test_one_that_is_in_the_lake_does_not_wait(case: Case) -> None:
    case.decide(seen(1, version=case.version(1), is_listed=False))
    assert case.shop.lake.waiting(DAYS[0]) == {}


def test_a_receipt_that_cannot_be_read_is_asked_for_until_its_date_is_made(case: Case) -> None:
    case.decide(unreadable(1))
    case.let_runs_be("failed")
    case.now = case.asked[DAYS[0]].not_before
    assert dates(case.decide(unreadable(1))) == [[DAYS[0]]]
    case.let_runs_be("succeeded")
    assert case.decide() == Decision()


def test_a_damaged_partition_is_asked_for(case: Case) -> None:
    version = case.version(1)
    case.shop.lake.path(RECEIPTS, DAYS[0]).write_bytes(b"PAR1 no more")
    assert dates(case.decide(seen(1, version=version))) == [[DAYS[0]]]


def test_a_date_that_a_dead_run_left_behind_is_asked_for_until_it_is_not(case: Case) -> None:
    case.behind = {DAYS[1]: ["abc"]}
    (request,) = case.decide().requests
    assert (request.shift_dates, names_of(request.receipts)) == ([DAYS[1]], ([], ["abc"], []))
    case.let_runs_be("running")
    assert dates(case.decide()) == []
    case.let_runs_be("succeeded")
    case.now = case.asked[DAYS[1]].not_before
    assert dates(case.decide()) == [[DAYS[1]]]
    case.behind = {}
    assert case.decide() == Decision()


def test_a_date_that_runs_die_on_one_after_the_other_is_asked_for_later_and_later(case: Case) -> None:
    """Each takes over what the one before it left, so that while it goes on nothing is left behind."""
    asked_at: list[int] = []
    for tick in range(40):
        case.now = NOW + tick * 300
        case.behind = {DAYS[1]: [f"dead {len(asked_at)}"]}
        if case.decide().requests:
            asked_at.append(tick)
            case.let_runs_be("running")
            case.behind = {}
            case.now += 30
            assert dates(case.decide()) == []
            case.let_runs_be("failed")
    assert asked_at == [0, 1, 3, 7, 15, 31]
    assert len(case.asked[DAYS[1]].receipts) == 1


def test_holes_between_dates_part_the_runs(case: Case) -> None:
    case.shop.make("2026-01-17")
    assert dates(case.decide(seen(4, "2026-01-17"), seen(1), seen(3, DAYS[1]))) == [["2026-01-17"], DAYS]


def test_an_object_store_is_asked_for_many_dates_at_once(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, those of years would take longer than Dagster waits for a tick."""
    days = days_from("2026-01-15", 6)
    case.shop.make(*days)
    store = case.shop.lake.store
    together = Barrier(len(days), timeout=20)  # broken, and an error, unless as many ask at the same time

    def wait_before(ask: Callable[[str], object]) -> Callable[[str], object]:
        def wait(name: str) -> object:
            together.wait()
            return ask(name)

        return wait

    monkeypatch.setattr(store, "read", wait_before(store.read))
    monkeypatch.setattr(store, "stamp", wait_before(store.stamp))
    monkeypatch.setattr(store, "local", lambda _: None)
    monkeypatch.setattr(store, "at_once", 8)
    case.kept = {day: {"venue 9": ""} for day in days}
    assert dates(case.decide()) == [days]
    case.let_runs_be("failed")
    case.now += 301
    assert dates(case.decide()) == [days]
