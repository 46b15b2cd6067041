"""What is remembered from one look to the next: how far was read, what was asked for, what waits to be asked for.

Kept as JSON text, in Dagster's storage. All of it can be lost: then reading starts from what the lake knows.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from clopos_assets.tables.values import RowError, read_time

_Name = Annotated[str, Meta(pattern=r"^((venue )?-?[0-9]{1,20}$|run |\? )")]
_Venue = Annotated[str, Meta(pattern=r"^(-?[0-9]{1,20})?$")]
_Count = Annotated[int, Meta(ge=0)]

Awaited = dict[_Name, str]
"""Receipt id, or another name of what is awaited, → what is awaited of it; see `deciding`."""

MOST_RECEIPTS = 20_000
"""How many receipts may be awaited before nothing more is read."""


class Unread(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stretch of the list that there was no time for: from `position` on (0 is the newest receipt), as the list
    was when it had `total`, down to the time `down_to`, inclusive.
    """

    position: _Count
    total: _Count
    down_to: str


class Reading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a venue's list was read: all that was changed before `newest`, but for what is `unread`.

    What was changed at `newest` itself is read again: another receipt may have the same time.
    """

    newest: str
    unread: Unread | None = None


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A shift date that was asked for, in the run of `run_key`, and what it is to bring.

    `tries` counts the requests before this one; not asked for again before `not_before`, in unix seconds.
    """

    run_key: str
    tries: _Count
    not_before: int
    receipts: Awaited


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a look leaves to the next: `read` by venue (an empty name is the token's own), the one read longest ago
    first; `asked` and `kept` by shift date.

    `kept` was seen, and is to be asked for once the shift date is free. `begun` is when all this was empty, in unix
    seconds: what is asked for after it was lost is not what was asked for before. `is_starved` tells that the last
    look got no further than the list of venues, so that the next one does without that. `lake` and `first_date` say
    for which lake was read, and from which shift date on, as far as that is known; `looked_at` in which state of its
    receipts venues were looked for that are missing.
    """

    version: Literal[1] = 1
    begun: int = 0
    is_starved: bool = False
    lake: str = ""
    first_date: str = ""
    looked_at: str = ""
    read: dict[_Venue, Reading] = {}
    asked: dict[str, Asked] = {}
    kept: dict[str, Awaited] = {}

    @property
    def receipts(self) -> int:
        """How many receipts are awaited."""
        return sum(len(asked.receipts) for asked in self.asked.values()) + sum(map(len, self.kept.values()))


def read_state(text: str) -> State | None:
    """The state in a cursor; None where it is another's, or damaged, or from a version that this one can't read."""
    try:
        state = msgspec.json.decode(text, type=State)
        for reading in state.read.values():
            read_time(reading.newest)
            read_time(reading.unread.down_to if reading.unread else reading.newest)
    except (msgspec.MsgspecError, UnicodeError, RowError):
        return None
    return state


def write_state(state: State) -> str:
    """The cursor to keep."""
    return msgspec.json.encode(state).decode()
