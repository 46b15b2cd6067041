"""What the sensor remembers between ticks: without it, with a damaged one, and after the lake was restored."""

import json
import shutil
from datetime import timedelta
from decimal import Decimal

import pytest

from clopos_assets.late.state import Asked, Reading, State, Unread, read_state, write_state
from clopos_assets.tables import RECEIPTS
from tests.late.conftest import Watched

DAYS = ["2026-01-19", "2026-01-20"]
VERSION = "00000000000000ff"


def test_without_a_cursor_it_starts_from_what_the_lake_knows(watched: Watched) -> None:
    shop = watched.shop
    shop.sell(4, "2026-01-19", closed_at="2026-01-19 23:00:00", updated_at="2026-01-20 02:00:00")
    shop.make("2026-01-20")
    watched.tick()
    assert watched.asked_for == ["2026-01-19"]


@pytest.mark.parametrize("part", ["asked", "kept"])
def test_a_cursor_with_a_venue_that_is_no_number_is_started_anew(
    watched: Watched, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    watched.tick()
    cursor = watched.remembered()
    awaited: dict[str, object] = {"venue x": ""}
    if part == "asked":
        awaited = {"run_key": "key", "tries": 0, "not_before": 0, "receipts": awaited}
    watched.cursor = json.dumps(cursor | {part: {"2026-01-19": awaited}})
    assert "3 receipts seen; nothing changed" in watched.tick()
    said = capsys.readouterr().err
    assert said.count("the cursor is not one of this sensor's: starting from what the lake knows") == 1
    assert watched.remembered()[part] == {}


@pytest.mark.parametrize("is_reset", [False, True], ids=["cursor kept", "cursor reset"])
def test_a_change_that_a_restored_lake_lost_is_made_again(watched: Watched, is_reset: bool) -> None:
    def total() -> list[Decimal]:
        rows = watched.shop.lake.read(RECEIPTS, "2026-01-19", ["id", "total"])
        assert rows is not None
        return [row["total"] for row in rows.to_pylist() if row["id"] == 1]

    root = watched.shop.lake.root
    backup = root.parent / "backup"
    shutil.copytree(root, backup)
    watched.tick()
    watched.shop.world.update_receipt(1, total=99, updated_at="2026-01-25 12:00:01")
    watched.tick()
    assert (watched.run_asked(), total()) == ([True], [Decimal(99)])
    watched.tick()
    shutil.rmtree(root)
    # As files of now: with their old times and by chance their old numbers they could not be told from those before.
    shutil.copytree(backup, root, copy_function=shutil.copy)
    assert total() != [Decimal(99)]
    if is_reset:
        watched.cursor = None
    watched.tick()
    assert (watched.run_asked(), total()) == ([True], [Decimal(99)])
    watched.tick()
    assert watched.asked == []


def test_a_reset_cursor_asks_under_other_keys_though_the_lake_looks_the_same(watched: Watched) -> None:
    """As a snapshot restores it, with the files' numbers and times."""
    watched.tick()
    watched.shop.sell(4, "2026-01-19", updated_at="2026-01-22 03:10:00")
    watched.tick()
    before = watched.asked[0].run_key
    watched.cursor = None
    watched.later += timedelta(seconds=1)
    watched.tick()
    assert watched.asked_for == ["2026-01-19"]
    assert watched.asked[0].run_key != before


def test_a_cursor_of_another_shape_is_started_anew(watched: Watched) -> None:
    watched.cursor = '{"version": 7}'
    assert "3 receipts seen" in watched.tick()
    assert watched.remembered()["version"] == 1


def test_the_state_survives_as_text() -> None:
    state = State(
        read={
            "": Reading("2026-01-20 12:00:00", Unread(5, 9, "2026-01-19 12:00:00")),
            "7": Reading("0001-01-01 00:00:00"),
        },
        asked={
            DAYS[0]: Asked(
                "key", 2, 1_000_000, {str(-(2**63)): VERSION, "venue 18446744073709551615": "", "? 0f": "unreadable 0f"}
            )
        },
        kept={DAYS[1]: {"2": f"gone {VERSION}", "run a-b c": ""}},
    )
    assert read_state(write_state(state)) == state
    assert list(state.read) == ["", "7"]
    assert state.receipts == 5


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[]", "2026-01-20", '{"version": 2}', '{"read": {"1": "x"}}', '{"more": 1}', "\ud800"),
        *(f'{{"kept": {{"{DAYS[0]}": {{"{name}": ""}}}}}}' for name in ("venue x", "venue ", "x", "", "9" * 5000)),
        f'{{"asked": {{"{DAYS[0]}": {{"run_key": "k", "tries": 0, "not_before": 0, "receipts": {{"venue x": ""}}}}}}}}',
        f'{{"asked": {{"{DAYS[0]}": {{"run_key": "k", "tries": -2, "not_before": 0, "receipts": {{}}}}}}}}',
        '{"read": {"x": {"newest": "2026-01-20 12:00:00"}}}',
        *(f'{{"read": {{"1": {{"newest": "{time}"}}}}}}' for time in ("x", "", "2026-01-20", "2026-13-20 12:00:00")),
        *(
            f'{{"read": {{"1": {{"newest": "2026-01-20 12:00:00", "unread": {unread}}}}}}}'
            for unread in (
                '{"position": -5, "total": 3, "down_to": "2026-01-20 12:00:00"}',
                '{"position": 5, "total": 3, "down_to": "x"}',
            )
        ),
    ],
)
def test_a_text_that_is_no_state_is_none(text: str) -> None:
    assert read_state(text) is None
