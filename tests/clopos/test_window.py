"""The arithmetic of the request window, with times that the test chooses."""

from math import inf

import pytest

from clopos_assets.clopos.window import Lease, RateLimit, Wait, Window, WindowState

UNTOLD = RateLimit()


def _told(remaining: int, limit: int = 10, reset: float | None = 60) -> RateLimit:
    return RateLimit(limit, remaining, reset)


def _take(window: Window, now: float) -> Lease:
    lease = window.reserve(now)
    assert isinstance(lease, Lease)
    return lease


def _waits(window: Window, now: float) -> float:
    wait = window.reserve(now)
    assert isinstance(wait, Wait)
    return wait.seconds


def _known(requests: int = 10, remaining: int = 9) -> Window:
    """A window of 60 s whose first answer came at 0."""
    window = Window(requests, 60)
    window.settle(_take(window, 0), 0, _told(remaining))
    return window


def test_one_request_until_the_first_answer() -> None:
    window = Window(10, 60)
    first = _take(window, 0)
    assert 0 < _waits(window, 0) < 1
    window.settle(first, 0.2, _told(9))
    assert [_take(window, 0.2).number for _ in range(9)] == list(range(2, 11))


def test_a_first_answer_that_does_not_come_keeps_nobody_for_long() -> None:
    """Who asked may have been killed. One more asks then, and is heard before the next."""
    window = Window(10, 60)
    _take(window, 0)
    assert 0 < _waits(window, 4.9) < 1
    second = _take(window, 5)
    assert 0 < _waits(window, 5.1) < 1
    window.settle(second, 5.2, _told(8))
    assert [_take(window, 5.2).number for _ in range(8)] == list(range(3, 11))


def test_an_answer_that_never_came_teaches_nothing() -> None:
    window = Window(10, 60)
    window.give_up(_take(window, 0), 1)
    _take(window, 1)
    assert _waits(window, 1) < 1


@pytest.mark.parametrize("told", [UNTOLD, RateLimit(limit=10, reset_seconds=60), RateLimit(remaining=9)])
def test_a_server_without_the_headers_is_not_asked_one_by_one_for_ever(told: RateLimit) -> None:
    window = Window(10, 60)
    for _ in range(3):
        lease = _take(window, 0)
        assert isinstance(window.reserve(0), Wait)
        window.settle(lease, 0, told)
    _take(window, 0)
    _take(window, 0)


def test_what_was_learned_is_stale_after_a_quiet_window() -> None:
    window = _known()
    _take(window, 60)
    assert isinstance(window.reserve(60), Wait)


def test_a_slot_is_free_one_window_after_its_answer() -> None:
    window = _known(requests=2)
    lease = _take(window, 1)
    window.settle(lease, 4, _told(8))
    assert _waits(window, 10) == pytest.approx(50)
    third = _take(window, 60)
    assert _waits(window, 60) == pytest.approx(4)
    window.cancel(third)
    assert isinstance(window.reserve(60), Lease)


def test_a_request_without_answer_holds_its_slot_one_window_longer() -> None:
    window = _known(requests=2)
    window.give_up(_take(window, 1), 31)
    window.settle(_take(window, 60), 60, _told(8))
    assert _waits(window, 61) == pytest.approx(30)


def _take_all(window: Window, now: float) -> list[Lease]:
    leases = []
    while isinstance(outcome := window.reserve(now), Lease):
        leases.append(outcome)
    return leases


def test_strangers_are_learned_and_forgotten() -> None:
    window = Window(100, 60)
    window.settle(_take(window, 0), 0, _told(60, limit=100))  # 40 used, 1 of them ours
    leases = _take_all(window, 1)
    assert len(leases) == 60 - 4  # the last ones are left to the strangers, who go on
    for lease in leases:
        window.settle(lease, 2, _told(4, limit=100, reset=None))
    (teller,) = _take_all(window, 3)
    window.settle(teller, 4, _told(3, limit=100, reset=None))
    quiet = 4 + 5 * 60
    window.settle(_take(window, quiet), quiet, _told(99, limit=100))
    assert len(_take_all(window, quiet)) == 99


def test_beside_strangers_the_answer_that_was_sent_last_tells_the_room() -> None:
    window = Window(100, 60)
    window.settle(_take(window, 0), 0, _told(60, limit=100))
    early, late = _take(window, 1), _take(window, 2)
    window.settle(late, 3, _told(10, limit=100))
    window.settle(early, 3, _told(30, limit=100))
    assert len(_take_all(window, 3)) == 10 - 1 - 4  # the early one was under way, and perhaps not counted


def test_our_own_requests_under_way_are_not_taken_for_strangers() -> None:
    window = _known()
    leases = [_take(window, 1) for _ in range(8)]
    for lease in leases:
        window.settle(lease, 2, _told(1))  # each answer counts all nine of ours
    assert isinstance(window.reserve(2), Lease)


def test_slots_that_end_under_an_answer_are_not_taken_for_strangers() -> None:
    window = _known()
    for remaining in (8, 7, 6, 5):
        window.settle(_take(window, 1), 1, _told(remaining))
    late = _take(window, 59)
    assert isinstance(window.reserve(62), Wait)  # and clears away what ended
    window.settle(late, 63, _told(4, reset=None))  # counted at 59: five of ours and itself
    assert [type(window.reserve(63)) for _ in range(9)] == [Lease] * 9


def test_remaining_0_waits_for_the_reset() -> None:
    window = _known()
    window.settle(_take(window, 1), 1, _told(0, reset=20))
    assert _waits(window, 2) == pytest.approx(19)


def test_a_refusal_closes_the_window_for_all() -> None:
    window = _known()
    one, other = _take(window, 1), _take(window, 1)
    window.refuse(one, 2, _told(5, reset=30))
    window.settle(other, 3, _told(5, reset=0))
    assert _waits(window, 3) == pytest.approx(29)


def test_a_refusal_without_a_reset_closes_it_for_one_window() -> None:
    window = _known()
    window.refuse(_take(window, 1), 2, UNTOLD)
    assert _waits(window, 2) == pytest.approx(60)


def test_the_setting_is_a_ceiling() -> None:
    window = Window(3, 60)
    window.settle(_take(window, 0), 0, _told(599, limit=600))
    assert [type(window.reserve(0)) for _ in range(3)] == [Lease, Lease, Wait]


def test_a_lower_limit_of_the_server_wins() -> None:
    window = Window(300, 60)
    window.settle(_take(window, 0), 0, _told(2, limit=3))
    assert [type(window.reserve(0)) for _ in range(3)] == [Lease, Lease, Wait]


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"RateLimit-Limit": "300", "RateLimit-Remaining": "299", "RateLimit-Reset": "60"}, RateLimit(300, 299, 60.0)),
        ({"RateLimit-Limit": "many", "RateLimit-Remaining": "-1", "RateLimit-Reset": "nan"}, UNTOLD),
        ({"RateLimit-Limit": "0", "RateLimit-Reset": "1768835269"}, UNTOLD),
        ({"RateLimit-Limit": "inf", "RateLimit-Remaining": "", "RateLimit-Reset": "Mon, 19 Jan 2026"}, UNTOLD),
        ({}, UNTOLD),
    ],
)
def test_headers(headers: dict[str, str], told: RateLimit) -> None:
    assert RateLimit.read(headers) == told


@pytest.mark.parametrize(("requests", "seconds"), [(0, 60), (1, 0), (1, float("inf"))])
def test_a_window_of_nothing_is_refused(requests: int, seconds: float) -> None:
    with pytest.raises(ValueError, match="at least one request"):
        Window(requests, seconds)


def test_the_slot_of_a_holder_that_died_is_free_after_its_lease_and_a_window() -> None:
    window = Window(2, 60, lease_seconds=50)
    window.settle(_take(window, 0), 0, _told(9))
    _take(window, 1)  # nobody will say how it went
    window.settle(_take(window, 60), 60, _told(8))
    # Of the two slots, the first one's is free at 60, and the lost one's at 1 + 50 + 60.
    assert len(_take_all(window, 110.9)) == 0
    assert len(_take_all(window, 111)) == 1


def test_beside_strangers_a_holder_that_died_stops_nobody() -> None:
    window = Window(100, 60, lease_seconds=50)
    window.settle(_take(window, 0), 0, _told(60, limit=100))
    _take(window, 1)
    window.settle(_take(window, 2), 2, _told(3, limit=100))
    assert len(_take_all(window, 3)) == 1


def test_beside_strangers_an_answer_that_does_not_come_keeps_nobody_for_long() -> None:
    window = Window(100, 60, lease_seconds=50)
    window.settle(_take(window, 0), 0, _told(3, limit=100))
    _take(window, 1)  # there may be no room, and this one would tell
    assert 0 < _waits(window, 5.9) < 1
    assert len(_take_all(window, 6)) == 1


def test_an_answer_after_the_lease_holds_a_slot_all_the_same() -> None:
    window = Window(3, 60, lease_seconds=50)
    window.settle(_take(window, 0), 0, _told(9))
    late = _take(window, 1)
    assert len(_take_all(window, 55)) == 1
    window.give_up(late, 105)
    assert len(_take_all(window, 112)) == 1  # not both: the late one holds until 165


def test_a_large_quota_is_a_small_state() -> None:
    state = WindowState()
    window = Window(1_000_000, 60, state=state)
    for number in range(20_000):
        window.settle(_take(window, number / 1000), number / 1000, _told(10**6, limit=10**6))
    assert len(state.ends) < 500
    assert sum(count for _, count in state.ends) == 20_000


def test_answers_that_are_written_down_in_another_order_hold_their_slots_all_the_same() -> None:
    window = _known(requests=3)
    early, late = _take(window, 1), _take(window, 1)
    window.settle(late, 5, _told(7))
    window.settle(early, 3, _told(8))
    assert len(_take_all(window, 64)) == 1  # the late one's is held until 65


def test_who_was_let_go_before_the_state_was_lost_ends_nobody_elses_request() -> None:
    window = _known(requests=4)
    window.give_up(Lease(_take(window, 1).number, -20), 1)
    assert len(_take_all(window, 1)) == 1  # the first answer, the one under way, and the one of before hold three


def test_a_renewed_slot_is_held_from_then_on() -> None:
    window = Window(1, 60, lease_seconds=50)
    lease = window.renew(_take(window, 0), 40)
    assert (lease.number, lease.started_at) == (2, 40)
    assert isinstance(window.reserve(149), Wait)  # at 90 it ends by itself
    _take(window, 151)


def test_a_slot_that_is_renewed_too_late_is_held_twice() -> None:
    window = Window(2, 60, lease_seconds=50)
    window.renew(_take(window, 0), 55)
    assert isinstance(window.reserve(109), Wait)
    _take(window, 111)


def _scarce() -> Window:
    """A window of which slots open at 61, 62, …, and an urgent request that knows it must wait."""
    window = Window(40, 60)
    window.settle(_take(window, 0), 1, _told(39, limit=40))
    for number, lease in enumerate([_take(window, 1) for _ in range(39)]):
        window.settle(lease, 2 + number, _told(0, limit=40, reset=None))
    assert isinstance(window.reserve(41), Wait)
    return window


def test_ordinary_requests_give_way_to_urgent_ones_that_wait_and_get_a_fifth() -> None:
    window = _scarce()
    first = ""
    for number in range(20):
        now = 61.0 + number
        if isinstance(window.reserve(now, is_urgent=False), Lease):
            first += "o"
        elif isinstance(window.reserve(now), Lease):
            first += "u"
        window.reserve(now)  # one more urgent one waits
    assert first == "uuuuo" * 4


def test_ordinary_requests_take_what_urgent_ones_do_not_come_for() -> None:
    window = _scarce()
    assert isinstance(window.reserve(61.2, is_urgent=False), Wait)
    assert isinstance(window.reserve(61.6, is_urgent=False), Lease)


def test_ordinary_requests_have_all_the_window_while_nobody_waits() -> None:
    window = _known()
    assert [type(window.reserve(1, is_urgent=False)) for _ in range(10)] == [Lease] * 9 + [Wait]


def test_who_is_refused_again_and_again_has_not_been_served() -> None:
    window = Window(10, 60)
    served = window.reserve(0)
    assert isinstance(served, Lease)
    window.settle(served, 1, RateLimit())
    for minute in range(1, 5):
        lease = window.reserve(60.0 * minute)
        assert isinstance(lease, Lease)
        window.refuse(lease, 60.0 * minute, RateLimit())
    wait = window.reserve(299)
    assert isinstance(wait, Wait)
    assert (wait.seconds, wait.idle_seconds) == (1, 298)
    unanswered = window.reserve(300)
    assert isinstance(unanswered, Lease)
    window.give_up(unanswered, 330)
    window.refuse(Lease(99, 330), 330, RateLimit())
    wait = window.reserve(340)
    assert isinstance(wait, Wait)
    assert wait.idle_seconds == 10


def test_a_state_of_another_clock_does_not_pass_for_one_in_which_somebody_gets_on() -> None:
    """Otherwise who waits would wait for as long as the clocks are apart, and be refused nowhere."""
    state = WindowState(served_at=3600, ends=[(3660, 10)], known_until=3660)
    wait = Window(10, 60, state=state).reserve(0)
    assert isinstance(wait, Wait)
    assert wait.idle_seconds == inf


def test_a_window_that_is_made_shorter_holds_what_was_spent_before_for_no_longer_than_itself() -> None:
    state = WindowState()
    longer = Window(1000, 3600, state=state)
    for second in range(10):
        longer.settle(_take(longer, second), second, _told(999 - second, limit=1000))
    window = Window(20, 60, state=state)
    leases = _take_all(window, 10)
    assert len(leases) == 10
    for lease in leases:
        window.settle(lease, 11, _told(980, limit=1000))
    assert _waits(window, 12) == pytest.approx(58)
    assert len(_take_all(window, 71)) >= 10


def test_a_window_that_is_made_shorter_knows_strangers_and_urgent_requests_for_no_longer_than_itself() -> None:
    state = WindowState()
    longer = Window(100, 3600, state=state)
    longer.settle(_take(longer, 0), 0, _told(0, limit=100, reset=None))  # strangers have spent all of it
    assert _waits(longer, 1) == pytest.approx(3599)
    window = Window(100, 60, state=state)
    assert _waits(window, 2) == pytest.approx(60)
    quiet = 2 + 5 * 60
    window.settle(_take(window, quiet), quiet, _told(99, limit=100))
    assert isinstance(window.reserve(quiet, is_urgent=False), Lease)
    assert len(_take_all(window, quiet)) == 98
