"""Whether a lake is what it has to be: against plain Python, against a lake made at once, and in what it costs."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from clopos_assets.lake import Lake
from clopos_assets.late.look import Look
from clopos_assets.sandbox.requests import RequestLog
from clopos_assets.tables import FINDING_HISTORY, RAW, RECEIPT_PRODUCTS, RECEIPTS, STOCK_OPERATIONS, TABLES, Table
from tests.oracle import raw_tables
from tests.simulation.brand import Brand, Json
from tests.simulation.machinery import Machinery
from tests.simulation.oracles import differences_of, expected_tables

_ID_IN_PATH = re.compile(r"/receipts/(\d+)$")
_MOST = 8


class Judge:
    """Looks at one machinery's lake and at the brand. What it gives is what is wrong, one line each."""

    def __init__(self, brand: Brand, machinery: Machinery, standard_days: int) -> None:
        self._brand = brand
        self._machinery = machinery
        self._lake = machinery.lake
        self._standard_days = standard_days

    def standing(self) -> set[int]:
        """Receipts that stand in some shift date, or wait for one."""
        ids: set[int] = set()
        for day in self._lake.dates(RECEIPTS):
            ids.update(self._ids(RECEIPTS, day, "id"))
        for folder in (self._lake.root / "_waiting").glob("*"):
            ids.update(self._lake.waiting(folder.name))
        return ids

    def lost(self, before: set[int]) -> list[str]:
        """Receipts that stood somewhere, are still there at the brand, and stand nowhere now."""
        nowhere = (before & set(self._brand.world.receipt_ids())) - self.standing()
        return [f"receipt {receipt_id} stood in the lake, and stands nowhere now" for receipt_id in sorted(nowhere)]

    def overlooked(self, seen: Look, pages: int, dated_back: set[int]) -> list[str]:
        """Receipts that a look which read all there was should know of, and that are neither made nor waited for.

        One that used up its `pages` may have read some venues only.

        Those `dated_back` came into the list below what had been read.
        """
        if seen.unread or seen.failed or seen.pages >= pages:
            return []
        awaited = {(day, name) for day, asked in seen.state.asked.items() for name in asked.receipts}
        awaited |= {(day, name) for day, names in seen.state.kept.items() for name in names}
        under_way = {day for ordered in self._machinery.queue for day in ordered.shift_dates}
        stored = {
            day: {row["id"]: row for row in self._rows(self._lake, RECEIPTS, day)} for day in self._machinery.made()
        }
        wrong = []
        for receipt in self._brand.receipts():
            day, receipt_id = receipt["shift_date"], receipt["id"]
            if day not in stored or day in under_way or receipt_id in dated_back or (day, str(receipt_id)) in awaited:
                continue
            got = [stored[day][receipt_id]] if receipt_id in stored[day] else []
            found = differences_of(RECEIPTS.name, got, raw_tables([receipt], {})[RECEIPTS.name])
            wrong += [f"overlooked by the sensor: {day} {text}" for text in found]
        return wrong[:_MOST]

    def compare_seen(self) -> list[str]:
        """The raw tables, before any sweep: all that the sensor can see, which deletions are not."""
        made = self._machinery.made()
        expected = expected_tables(self._brand.receipts(), self._brand.operations(), made, self._standard_days)
        wrong = []
        for day in made:
            for table in RAW:
                key = "id" if table is RECEIPTS else "receipt_id"
                rows = [row for row in self._rows(self._lake, table, day) if row[key] not in self._brand.deleted]
                found = differences_of(table.name, rows, expected[day][table.name])
                wrong += [f"by the sensor alone, {day} {text}" for text in found]
        return wrong[:_MOST]

    def compare_all(self, at_once: Machinery) -> list[str]:
        """Every table with plain Python and with a range made at once, and every receipt in one place."""
        wrong = self._compare_with_oracle() + self._compare_places()
        for day, marks in self._lake.marks().items():
            wrong.append(f"{day} is still marked as changed by {', '.join(sorted(marks))}")
        return (wrong or self._compare_with(at_once))[:_MOST]

    def compare_again(self, requests: RequestLog) -> list[str]:
        """A tick asks for nothing, and making the raw tables again costs list pages and writes nothing."""
        self._brand.world.pass_time(timedelta(hours=25))
        seen = self._machinery.tick()
        if seen is None or seen.decision.requests:
            return [f"when all is settled, the sensor asks for {seen and seen.decision.requests}"]
        before = self._stamps()
        requests.reset()
        made = self._machinery.made()
        self._machinery.order(made, "hand")
        self._machinery.run_next(tables=RAW)
        wrong = [f"{name} of {day} was written again" for name, day in sorted(before - self._stamps())]
        # Those that no listing for their shift date shows are asked for by id.
        scope = self._machinery.access.scope
        unlisted = {
            receipt["id"]
            for receipt in self._brand.receipts()
            if receipt["shift_date"] in made and self._brand.is_far(receipt, scope.days_before, scope.days_after)
        }
        for request in requests.latest():
            by_id = _ID_IN_PATH.search(request.path)
            is_list = request.path.endswith(("/receipts", "/venues", "/auth"))
            if not is_list and not (by_id and int(by_id[1]) in unlisted):
                wrong.append(f"making all again asked for {request.path}")
        return wrong[:_MOST]

    def _stamps(self) -> set[tuple[str, str]]:
        """Table, and shift date with what changes when it is written."""
        return {(table.name, f"{day} {stamp}") for table in RAW for day, stamp in self._lake.stamps(table).items()}

    def _compare_with_oracle(self) -> list[str]:
        made = self._machinery.made()
        expected = expected_tables(self._brand.receipts(), self._brand.operations(), made, self._standard_days)
        wrong = []
        for day in made:
            for name, rows in expected[day].items():
                found = differences_of(name, self._rows(self._lake, TABLES[name], day), rows)
                wrong += [f"other than the oracle, {day} {text}" for text in found]
        return wrong

    def _compare_places(self) -> list[str]:
        wrong = []
        for table, key in ((RECEIPTS, "id"), (RECEIPT_PRODUCTS, "receipt_id"), (STOCK_OPERATIONS, "receipt_id")):
            places: dict[int, set[str]] = defaultdict(set)
            for day in self._lake.dates(table):
                for receipt_id in self._ids(table, day, key):
                    places[receipt_id].add(day)
            for receipt_id, days in sorted(places.items()):
                if len(days) > 1:
                    wrong.append(f"{table.name}: receipt {receipt_id} stands in {', '.join(sorted(days))}")
        return wrong

    def _compare_with(self, at_once: Machinery) -> list[str]:
        """The lake against one range run over its shift dates, told of receipts that no listing shows."""
        made = self._machinery.made()
        for receipt in self._brand.receipts():
            if receipt["shift_date"] in made:
                at_once.lake.wait_for(receipt["shift_date"], receipt["id"], receipt["venue_id"])
        at_once.order(made, "hand")
        ordered = at_once.run_next()
        assert ordered is not None
        wrong = [f"the run at once failed: {day} {reason}" for day, reason in ordered.reasons.items()]
        for table in TABLES.values():
            if self._lake.dates(table) != at_once.lake.dates(table):
                wrong.append(f"{table.name}: made {self._lake.dates(table)}, at once {at_once.lake.dates(table)}")
                continue
            for day in made:
                ours, theirs = (_comparable(table, self._rows(lake, table, day)) for lake in (self._lake, at_once.lake))
                wrong += [f"{day} {table.name}: followed {row}, not so at once" for row in ours if row not in theirs]
                wrong += [f"{day} {table.name}: at once {row}, not so followed" for row in theirs if row not in ours]
        return wrong

    def _ids(self, table: Table, day: str, column: str) -> list[int]:
        rows = self._lake.read(table, day, [column])
        return [] if rows is None else rows.column(0).to_pylist()

    @staticmethod
    def _rows(lake: Lake, table: Table, day: str) -> list[Json]:
        rows = lake.read(table, day)
        return [] if rows is None else rows.to_pylist()


def _comparable(table: Table, rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    if table is FINDING_HISTORY:
        return [
            {name: row[name] for name in ("finding_id", "check_name")} for row in rows if row["resolved_at"] is None
        ]
    return [{name: value for name, value in row.items() if name != "fetched_at"} for row in rows]
