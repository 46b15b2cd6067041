"""Filing receipts under their shift date: carrying plans out, moves between partitions, and the writes.

Order is what keeps receipts from being lost: a destination is written before the source lets go. Both files of
a partition name the versions they hold, so that a crash between them is seen by the next making.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from clopos_assets.ingest.answers import Entry, gather_rows
from clopos_assets.ingest.changes import Change, describe_changes
from clopos_assets.ingest.made import LOCK_SECONDS, HeldByOthersError, IngestError, Made, Scope
from clopos_assets.ingest.plan import Plan
from clopos_assets.ingest.stored import Handled, Stored, newer_there, refuse_other_venue
from clopos_assets.ingest.venues import write_known_until, write_venues
from clopos_assets.ingest.versions import write_versions
from clopos_assets.lake import BusyError, Lake, LakeError
from clopos_assets.tables import RECEIPT_PRODUCTS, RECEIPTS, ContractError
from clopos_assets.tables.raw import is_closed
from clopos_assets.tables.rows import unknown_fields

_MOST_LOOKS = 10
"""Times that a filing looks where its receipts stand: once, and again for each time they turn up under more dates."""


class Filing:
    """Carries out the plans of a run whose shift dates are locked, and of dates outside that moves touch.

    `patience` is how many seconds it waits for one of these that another run holds. One that `gives_way` raises
    HeldByOthersError then.
    """

    def __init__(
        self, lake: Lake, plans: Mapping[str, Plan], made: Made, scope: Scope, patience: float, *, gives_way: bool
    ) -> None:
        self._lake = lake
        self._plans = dict(plans)
        self._made = made
        self._allow = scope.allow_mass_removal
        self._run_id = scope.run_id
        self._mark = scope.privacy.mark
        self._failed: set[str] = set()
        self._patience = patience
        self._gives_way = gives_way

    def carry_out(self, locked: set[str], elsewhere: Sequence[tuple[str, Entry]]) -> None:
        """Write every plan. `locked` are the dates this run holds; `elsewhere` are receipts that the API
        files under another date than the one they were sought in, with that one.

        Facts and failures go to `made`: a date outside that can't be had fails the plans it has to do with, and
        no others. Raises LakeError where nothing more can be written.
        """
        given, moves = self._plans, list(elsewhere)
        for _ in range(len(given) + 1):  # each time round, at least one plan is given up
            self._plans = {day: plan.copy() for day, plan in given.items()}
            unhad = self._try(locked, moves)
            if unhad is None:
                return
            assert unhad, "a date that can't be had fails the plans that need it"
            for shift_date, reason in unhad.items():
                self._made.fail(shift_date, reason)
                del given[shift_date]
            moves = [(origin, entry) for origin, entry in moves if origin in given]

    def _try(self, locked: set[str], moves: Sequence[tuple[str, Entry]]) -> dict[str, str] | None:
        """Write every plan; or none, and give those that have to do with a date that can't be had, and why."""
        in_range = frozenset(self._plans)
        for _, entry in moves:
            plan = self._plans.get(entry.shift_date)
            if plan is not None:
                plan.entries[entry.receipt_id] = entry
        claimed = self._claimed_by_another_venue()
        if claimed:
            return claimed
        strangers = [(origin, entry) for origin, entry in moves if entry.shift_date not in self._plans]
        entering = self._entering([entry for _, entry in strangers])
        theirs = {entry.shift_date for _, entry in strangers}
        to_hold = theirs
        sources: dict[str, dict[int, str]] = {}

        def concerned(shift_date: str, reason: str) -> dict[str, str]:
            placed = set(sources.get(shift_date, {}).values())
            origins = {origin for origin, entry in strangers if entry.shift_date in {shift_date, *placed}}
            return dict.fromkeys(origins | (placed & in_range), reason)

        for _ in range(_MOST_LOOKS):
            with ExitStack() as held:
                for shift_date in sorted(to_hold):
                    try:
                        # Dates not made yet are locked too: one that is being made now must not miss the note.
                        held.enter_context(self._lake.locked({shift_date} - locked, seconds=self._patience))
                    except LakeError as error:
                        if self._gives_way and isinstance(error, BusyError):
                            raise HeldByOthersError(to_hold - locked) from None
                        return concerned(shift_date, str(error))
                # Of two runs that file a receipt at once, neither would see where the other puts it.
                held.enter_context(self._lake.locked([RECEIPTS.name], seconds=LOCK_SECONDS))
                sources = self._sources(entering)
                outside = theirs | (sources.keys() - in_range)
                if outside - to_hold:
                    to_hold = outside
                    continue  # dates come before the rest, so that two runs never wait for each other
                for shift_date in sorted(outside):
                    leaving = sources.get(shift_date, {})
                    coming = {e.receipt_id: e for _, e in strangers if e.shift_date == shift_date}
                    try:
                        newer = newer_there(self._lake, shift_date, {i: entering[i] for i in leaving} | coming)
                        if moved := sorted(newer & leaving.keys()):
                            raise IngestError(
                                f"receipt {moved[0]} was filed under {shift_date} meanwhile, by another run: run this "
                                "again"
                            )
                        self._plan_outside(shift_date, {i: coming[i] for i in coming.keys() - newer}, leaving)
                    except (LakeError, IngestError) as error:
                        return concerned(shift_date, str(error))
                self._place(strangers, sources, outside)
                self._write_all()
                self._settle(moves)
                return None
        reason = "other runs keep moving its receipts: run this again when they have ended"
        return dict.fromkeys(in_range, reason)

    def _place(
        self,
        strangers: Sequence[tuple[str, Entry]],
        sources: Mapping[str, Mapping[int, str]],
        outside: set[str],
    ) -> None:
        """Plan what leaves dates of the range, and what comes from where; note what has to wait for its date."""
        for shift_date in sources.keys() - outside:
            self._plans[shift_date].leaving.update(sources[shift_date])
        for source, ids in sources.items():
            for receipt_id, shift_date in ids.items():
                if shift_date in self._plans:
                    self._plans[shift_date].coming[receipt_id] = source
        for _, entry in strangers:
            if entry.shift_date not in self._plans:
                self._lake.wait_for(entry.shift_date, entry.receipt_id, entry.venue_id)

    def _claimed_by_another_venue(self) -> dict[str, str]:
        """Plans that hold a receipt which stands in any of them as another venue's, and which."""
        claimed: dict[str, str] = {}
        stands = {i: (day, venue) for day, plan in self._plans.items() for i, venue in plan.stored.venues.items()}
        for shift_date, plan in self._plans.items():
            for receipt_id in plan.entries.keys() & stands.keys():
                try:
                    refuse_other_venue(plan.entries[receipt_id], *stands[receipt_id])
                except IngestError as error:
                    claimed |= dict.fromkeys((shift_date, stands[receipt_id][0]), str(error))
        return claimed

    def _settle(self, moves: Sequence[tuple[str, Entry]]) -> None:
        """Drop the notes of receipts that stand where they belong now, or wait there, or are no more."""
        unplaced = {entry.receipt_id for _, entry in moves if entry.shift_date in self._failed}
        for plan in self._plans.values():
            if plan.shift_date not in self._failed:
                filed = {entry.receipt_id: entry.venue_id for entry in plan.entries.values()}
                done = plan.settled.items() | filed.items()  # one that waits for another venue by now, goes on waiting
                self._lake.stop_waiting(plan.shift_date, (note for note in done if note[0] not in unplaced))

    def _plan_outside(self, shift_date: str, coming: Mapping[int, Entry], leaving: Mapping[int, str]) -> None:
        """Plan what enters and leaves a date outside the run's range, if it is made."""
        stored = Stored.load(self._lake, shift_date)
        if stored.exists:
            plan = Plan(shift_date, stored, entries=dict(coming), leaving=dict(leaving))
            plan.refuse_other_venues()
            plan.guard(allow_mass_removal=self._allow)
            self._plans[shift_date] = plan

    def _entering(self, strangers: Sequence[Entry]) -> dict[int, Entry]:
        """What the plans are to hold, by receipt id."""
        of_plans = (entry for plan in self._plans.values() for entry in plan.entries.values())
        return {entry.receipt_id: entry for entry in [*strangers, *of_plans]}

    def _sources(self, entering: Mapping[int, Entry]) -> dict[str, dict[int, str]]:
        """Where the receipts of the plans stand besides: shift date → receipt → the date it has now."""
        placed = {receipt_id: entry.shift_date for receipt_id, entry in entering.items()}
        sources: dict[str, dict[int, str]] = {}
        for shift_date, ids in self._lake.find(RECEIPTS, "id", placed).items():
            leaving = {i: placed[i] for i in ids if placed[i] != shift_date}
            if leaving:
                sources[shift_date] = leaving
        return sources

    def _write_all(self) -> None:
        plans = sorted(self._plans.values(), key=lambda plan: plan.shift_date)
        # From here on receipts may stand in two dates: whoever comes after a death has to know which they may leave.
        for plan in plans:
            if any(plan.leaving.values()):
                self._lake.mark(plan.shift_date, self._run_id)
        try:
            self._write_in_turn(plans)
        except LakeError as error:
            for plan in plans:
                if plan.shift_date not in self._made.facts.get(RECEIPTS.name, {}):
                    self._fail(plan.shift_date, str(error))
            raise

    def _write_in_turn(self, plans: Sequence[Plan]) -> None:
        # Destinations first: with what leaves them still inside, where they are sources too.
        for plan in plans:
            if plan.entries or not plan.leaving:
                self._write(plan, keep_leaving=True)
        for plan in plans:
            if plan.leaving:
                unplaced = sorted(d for d in plan.leaving.values() if d in self._failed)
                if unplaced:
                    self._fail(plan.shift_date, f"receipts move from here to {unplaced[0]}, which was not made")
                else:
                    self._write(plan, keep_leaving=False)

    def _write(self, plan: Plan, *, keep_leaving: bool) -> None:
        if plan.shift_date in self._failed:
            return
        stored = plan.stored
        fresh = [
            entry for receipt_id, entry in plan.entries.items() if stored.versions.get(receipt_id) != entry.version
        ]
        replaced = {entry.receipt_id for entry in fresh}
        otherwise = stored.stored_otherwise(self._mark)
        # Unchanged, but to be stored in another way than they are.
        again = [plan.entries[i] for i in sorted((plan.entries.keys() & otherwise) - replaced)]
        gone = set() if keep_leaving else plan.leaving.keys() & stored.venues.keys()
        for name, count in {
            "receipts_added": len(replaced - stored.venues.keys() - plan.coming.keys()),
            "receipts_moved_here": len((replaced - stored.venues.keys()) & plan.coming.keys()),
            "receipts_changed": len(replaced & stored.venues.keys()),
            "receipts_removed": sum(plan.leaving[receipt_id] is None for receipt_id in gone),
            "receipts_moved_away": sum(plan.leaving[receipt_id] is not None for receipt_id in gone),
            **({"receipts_stored_anew": len(again)} if again else {}),
        }.items():
            plan.counts[name] += count
        try:
            is_new = stored.is_older or not stored.exists or not plan.venues <= stored.read_for
            if fresh or again or gone or stored.stray or is_new:
                if stored.exists:
                    plan.changes += self._changes(plan, fresh, gone)
                drop = replaced | {entry.receipt_id for entry in again} | gone | stored.stray
                self._replace(plan, fresh + again, drop, Handled(self._mark, frozenset(otherwise - drop)))
        except ContractError as error:
            self._fail(plan.shift_date, str(error))
            return
        if not (keep_leaving and plan.leaving):
            self._record(plan)

    def _replace(self, plan: Plan, fresh: list[Entry], drop: set[int], handled: Handled) -> None:
        shift_date, stored = plan.shift_date, plan.stored
        receipts, lines = gather_rows(fresh)
        if stored.exists:
            dropped = pa.array(drop, type=pa.int64())
            kept = self._lake.read(RECEIPTS, shift_date)
            kept_lines = self._lake.read(RECEIPT_PRODUCTS, shift_date)
            if kept is not None:
                receipts = pa.concat_tables([_without(kept, "id", dropped), receipts])
            if kept_lines is not None:
                lines = pa.concat_tables([_without(kept_lines, "receipt_id", dropped), lines])
        versions = {i: v for i, v in stored.versions.items() if i not in drop}
        versions.update((entry.receipt_id, entry.version) for entry in fresh)
        notes = write_versions(versions)
        of_receipts = notes | handled.write() | write_venues(plan.venues | stored.read_for)
        # Of a venue that was not read this time, no more is known than before.
        of_receipts |= write_known_until({**stored.known_until, **plan.known_until})
        RECEIPTS.check(receipts)  # before the lines are written: both or neither
        self._lake.mark(shift_date, self._run_id)
        self._lake.replace(RECEIPT_PRODUCTS, shift_date, lines, notes)
        self._lake.replace(RECEIPTS, shift_date, receipts, of_receipts)
        plan.stored = Stored.load(self._lake, shift_date)

    def _changes(self, plan: Plan, fresh: Sequence[Entry], gone: set[int]) -> list[Change]:
        """What is about to happen to single receipts of a partition that was made before."""
        rows = self._lake.read(RECEIPTS, plan.shift_date, ["id", "status", "total"])
        before = {} if rows is None else {row["id"]: row for row in rows.to_pylist()}
        after, _ = gather_rows(fresh)
        changes = [
            Change.of(row["id"], before.get(row["id"]), row, came_from=plan.coming.get(row["id"]))
            for row in after.select(["id", "status", "total"]).to_pylist()
        ]
        return changes + [
            Change.of(receipt_id, before.get(receipt_id), None, went_to=plan.leaving[receipt_id])
            for receipt_id in sorted(gone)
        ]

    def _record(self, plan: Plan) -> None:
        receipts = self._lake.read(RECEIPTS, plan.shift_date, ["status", "deleted_at", "total", "extra"])
        lines = self._lake.read(RECEIPT_PRODUCTS, plan.shift_date, ["extra"])
        assert receipts is not None  # just written, or found unchanged, under lock
        assert lines is not None
        closed = pc.sum(is_closed(receipts)).as_py() or 0
        self._made.add(
            RECEIPTS,
            plan.shift_date,
            {
                "rows": receipts.num_rows,
                "closed_receipts": closed,
                "open_receipts": receipts.column("deleted_at").null_count - closed,
                "receipts_total": pc.sum(receipts.column("total")).as_py() or Decimal(0),
                "unknown_fields": unknown_fields(RECEIPTS, receipts.column("extra")),
                **({"venues": ", ".join(map(str, sorted(read_for)))} if (read_for := plan.stored.read_for) else {}),
                **plan.facts,
                **plan.counts,
                **({"changes": describe_changes(plan.changes)} if plan.changes else {}),
            },
        )
        self._made.add(
            RECEIPT_PRODUCTS,
            plan.shift_date,
            {"rows": lines.num_rows, "unknown_fields": unknown_fields(RECEIPT_PRODUCTS, lines.column("extra"))},
        )

    def _fail(self, shift_date: str, reason: str) -> None:
        self._failed.add(shift_date)
        self._made.fail(shift_date, reason)


def _without(rows: pa.Table, column: str, ids: pa.Array) -> pa.Table:
    return rows.filter(pc.invert(pc.is_in(rows.column(column), value_set=ids)))
