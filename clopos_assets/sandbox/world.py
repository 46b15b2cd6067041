"""The state that the stand-in API serves: one brand's venues, receipts and stock operations.

Here belong the objects themselves and the changes they can undergo. How a restaurant comes to have such
receipts is `history`'s affair; how they are listed, filtered and sent is `listing`'s and `api`'s.

Every object is written in the API's own words, as decoded JSON: `int`, `Decimal`, `str`, `bool`, `None`,
lists and dicts. An object handed to the world belongs to it and is never changed in place afterwards: a
change replaces the object, so that a reader who took one keeps a consistent receipt.
"""

import copy
import json
import threading
from collections.abc import Iterable, KeysView, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Self

import msgspec

Json = dict[str, Any]

OPEN = 1
CLOSED = 2

_encoder = msgspec.json.Encoder(decimal_format="number")


def encode(value: object) -> bytes:
    """JSON in UTF-8, letters unescaped; a `Decimal` becomes a number with exactly its digits."""
    return _encoder.encode(value)


def stamp(moment: datetime) -> str:
    """Writes a venue's local time as the API does, `YYYY-MM-DD HH:mm:ss`; parts of a second are cut off."""
    return moment.isoformat(" ", "seconds")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client sends to be given a token; the secret stays out of the repr."""

    client_id: str = "sandbox-client"
    client_secret: str = field(default="sandbox-only", repr=False)
    brand: str = "sandbox"
    integrator_id: str = "sandbox-integrator"


@dataclass(slots=True)
class Access:
    """The switches that the vendor and the restaurant have over a credential; each may be turned while
    serving.

    `integrator_is_test` with a brand that is not a test brand is the mismatch that `/v2/auth` answers with
    HTTP 200.
    """

    client_enabled: bool = True
    integrator_active: bool = True
    integrator_is_test: bool = True
    brand_is_test: bool = True
    may_read_receipts: bool = True


class World:
    """One brand. Receipt, line and operation ids are brand-wide; times are the venues' local time without
    zone.

    Safe to change from one thread while another serves it. A change to a receipt that is not there raises
    `LookupError`; doing it again does not help.
    """

    def __init__(
        self,
        venues: Iterable[Json],
        *,
        now: datetime,
        zone: str = "Asia/Baku",
        credentials: Credentials | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self.credentials = credentials or Credentials()
        self.access = Access()
        self.zone = zone
        self.venues: list[Json] = list(venues)
        self.products: dict[int, Json] = {}
        self._deleted: dict[int, Json] = {}
        self.version = 0
        self._now = now
        self._receipts: dict[int, Json] = {}
        # Kept as sent, with their number: a year of them as objects would fill a small machine's memory.
        self._operations: dict[int, tuple[int, bytes]] = {}
        self._terminals: dict[int, int] = {}
        self._days: dict[int, dict[str, dict[int, None]]] = {}

    @classmethod
    def from_answers(cls, answers: Mapping[str, Any], *, now: datetime | None = None, zone: str = "Asia/Baku") -> Self:
        """Builds the world that gives these answers.

        `receipts` holds receipts as the list gives them, lines included; `stock_operations` maps a receipt id
        (text or number) to its operations. Venues are those the receipts name, the first one being the main
        venue. `now` defaults to the latest `updated_at`. A binary float anywhere raises `ValueError`: decode
        with `parse_float=Decimal`, as :meth:`from_json` does.
        """
        _refuse_floats(answers, "answers")
        receipts: Sequence[Json] = answers["receipts"]
        if now is None:
            times = [str(receipt["updated_at"]) for receipt in receipts]
            now = datetime.fromisoformat(max(times, default="2026-01-01 00:00:00"))
        ids = sorted({int(receipt["venue_id"]) for receipt in receipts}) or [1]
        venues = [{"id": each, "name": f"Filial {each}", "is_main": int(each == ids[0]), "media": []} for each in ids]
        world = cls(venues, now=now, zone=zone)
        for receipt in receipts:
            world.put_receipt(copy.deepcopy(receipt))
        for receipt_id, operations in answers.get("stock_operations", {}).items():
            world.put_operations(int(receipt_id), copy.deepcopy(operations))
        return world

    @classmethod
    def from_json(cls, text: str | bytes, *, now: datetime | None = None, zone: str = "Asia/Baku") -> Self:
        """Like :meth:`from_answers`, from JSON text whose fractions are kept exactly as written."""
        return cls.from_answers(json.loads(text, parse_float=Decimal), now=now, zone=zone)

    @property
    def now(self) -> datetime:
        """The venues' local time, without zone."""
        return self._now

    @now.setter
    def now(self, moment: datetime) -> None:
        with self.lock:
            self._now = moment

    @property
    def deleted(self) -> KeysView[int]:
        """Ids of the receipts that were deleted."""
        return self._deleted.keys()

    def venue_ids(self) -> list[int]:
        return [int(venue["id"]) for venue in self.venues]

    def main_venue_id(self) -> int:
        """The venue a token stands for when no `x-venue` is sent."""
        mains = [int(venue["id"]) for venue in self.venues if venue.get("is_main")]
        return mains[0] if mains else self.venue_ids()[0]

    def receipt_ids(self) -> list[int]:
        """Ids that the API still knows, in ascending order."""
        with self.lock:
            return sorted(self._receipts)

    def receipt(self, receipt_id: int) -> Json:
        """A copy of the receipt, lines included."""
        return copy.deepcopy(self.get_receipt(receipt_id))

    def operations(self, receipt_id: int) -> list[Json]:
        """The receipt's stock operations, decoded anew; empty while it is open."""
        operations: list[Json] = json.loads(self.operations_as_sent(receipt_id), parse_float=Decimal)
        return operations

    def get_receipt(self, receipt_id: int) -> Json:
        """The receipt itself, for reading only."""
        with self.lock:
            try:
                return self._receipts[receipt_id]
            except KeyError:
                raise LookupError(f"receipt {receipt_id} is not in the sandbox") from None

    def get_any_receipt(self, receipt_id: int) -> Json:
        """The receipt itself, or what is left of a deleted one, for reading only."""
        with self.lock:
            return self._deleted[receipt_id] if receipt_id in self._deleted else self.get_receipt(receipt_id)

    def operations_as_sent(self, receipt_id: int) -> bytes:
        """The receipt's operations as the JSON array that is sent."""
        with self.lock:
            self.get_receipt(receipt_id)
            return self._operations.get(receipt_id, (0, b"[]"))[1]

    def terminal_of(self, receipt: Json) -> int | None:
        """The till a receipt was made at: v2 filters by it and does not show it."""
        terminal = receipt.get("terminal_id", self._terminals.get(receipt["id"]))
        return None if terminal is None else int(terminal)

    def created_between(
        self, venue_id: int, first: date | None, last: date | None, *, with_deleted: bool = False
    ) -> list[Json]:
        """Receipts of a venue by ascending id, created `first` to `last`, both inclusive, None unbound."""
        low = "" if first is None else first.isoformat()
        high = "9999-12-31" if last is None else last.isoformat()
        with self.lock:
            days = self._days.get(venue_id, {})
            ids = [each for day, members in days.items() if low <= day <= high for each in members]
            found = {each: self._receipts[each] for each in ids}
            if with_deleted:
                found |= {
                    each: gone
                    for each, gone in self._deleted.items()
                    if int(gone["venue_id"]) == venue_id and low <= str(gone["created_at"])[:10] <= high
                }
            return [found[each] for each in sorted(found)]

    def counts(self) -> dict[str, int]:
        with self.lock:
            receipts = self._receipts.values()
            return {
                "venues": len(self.venues),
                "receipts": len(self._receipts),
                "open": sum(receipt["status"] != CLOSED for receipt in receipts),
                "closed": sum(receipt["status"] == CLOSED for receipt in receipts),
                "deleted": len(self.deleted),
                "receipt_products": sum(len(receipt.get("receipt_products", ())) for receipt in receipts),
                "stock_operations": sum(number for number, _ in self._operations.values()),
            }

    def put_receipt(self, receipt: Json, *, terminal_id: int | None = None) -> None:
        """Enters a receipt, or replaces the one with its id."""
        with self.lock:
            receipt_id = int(receipt["id"])
            old = self._receipts.get(receipt_id)
            if old is not None:
                self._unindex(old)
            self._receipts[receipt_id] = receipt
            self._deleted.pop(receipt_id, None)
            day = str(receipt["created_at"])[:10]
            self._days.setdefault(int(receipt["venue_id"]), {}).setdefault(day, {})[receipt_id] = None
            if terminal_id is not None:
                self._terminals[receipt_id] = terminal_id
            self.version += 1

    def update_receipt(self, receipt_id: int, **fields: object) -> None:
        """Changes fields of a receipt; `updated_at` becomes now unless it is among them."""
        with self.lock:
            old = self.get_receipt(receipt_id)
            if fields.get("id", receipt_id) != receipt_id:
                raise ValueError("a receipt keeps its id")
            self.put_receipt({**old, "updated_at": stamp(self._now), **fields})

    def close_receipt(
        self,
        receipt_id: int,
        *,
        operations: Sequence[Json] = (),
        closed_at: datetime | None = None,
        **fields: object,
    ) -> None:
        """Closes a receipt and files what it took from stock.

        Without `payment_methods` the whole total is paid in cash. `closed_at` defaults to now and is also the
        `updated_at`.
        """
        with self.lock:
            receipt = self.get_receipt(receipt_id)
            moment = stamp(closed_at or self._now)
            if "payment_methods" not in fields:
                paid = {"id": 1, "name": "Cash", "amount": fields.get("total", receipt["total"])}
                fields = {"payment_methods": [paid], "remaining": 0, **fields}
            changes = {"status": CLOSED, "closed_at": moment, "updated_at": moment, **fields}
            self.update_receipt(receipt_id, **changes)
            self.put_operations(receipt_id, list(operations))

    def reopen_receipt(self, receipt_id: int) -> None:
        """Opens a closed receipt again: payments are taken back and its stock operations are gone."""
        with self.lock:
            total = self.get_receipt(receipt_id)["total"]
            self.update_receipt(receipt_id, status=OPEN, closed_at=None, payment_methods=[], remaining=total)
            self.put_operations(receipt_id, [])

    def move_receipt(self, receipt_id: int, shift_date: date) -> None:
        """Files a receipt under another business day; `updated_at` becomes now."""
        self.update_receipt(receipt_id, shift_date=shift_date.isoformat())

    def delete_receipt(self, receipt_id: int) -> None:
        """Takes a receipt out of v2's list; by id it and its operations answer 404 there from now on.

        v1 goes on to show it, with `deleted_at` and without operations.
        """
        with self.lock:
            receipt = self.get_receipt(receipt_id)
            self._unindex(receipt)
            del self._receipts[receipt_id]
            self._operations.pop(receipt_id, None)
            self._terminals.pop(receipt_id, None)
            moment = stamp(self._now)
            self._deleted[receipt_id] = {**receipt, "updated_at": moment, "deleted_at": moment}
            self.version += 1

    def put_operations(self, receipt_id: int, operations: list[Json]) -> None:
        """Replaces the stock operations of a receipt."""
        with self.lock:
            self.get_receipt(receipt_id)
            if operations:
                self._operations[receipt_id] = (len(operations), encode(operations))
            else:
                self._operations.pop(receipt_id, None)
            self.version += 1

    def pass_time(self, span: timedelta) -> None:
        """Moves the clock on without anything happening."""
        with self.lock:
            self._now += span

    def _unindex(self, receipt: Json) -> None:
        days = self._days[int(receipt["venue_id"])]
        day = str(receipt["created_at"])[:10]
        del days[day][receipt["id"]]
        if not days[day]:
            del days[day]


def _refuse_floats(value: object, path: str) -> None:
    if isinstance(value, float):
        raise ValueError(f"{path} is a binary float; decode the JSON with parse_float=Decimal")
    if isinstance(value, Mapping):
        for key, each in value.items():
            _refuse_floats(each, f"{path}.{key}")
    elif isinstance(value, list):
        for position, each in enumerate(value):
            _refuse_floats(each, f"{path}[{position}]")
