"""Making `stock_ledger`: the shift dates that are asked for, and others whose rows follow a changed operation."""

from collections.abc import Sequence
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from clopos_assets.compute import MANY_OPERATIONS, registered, select
from clopos_assets.database import explain, set_threads
from clopos_assets.ingest.made import LOCK_SECONDS, NOBODY, Facts, Made
from clopos_assets.lake import Lake, LakeError
from clopos_assets.ledger.index import Index, discard_index, in_days
from clopos_assets.ledger.packing import DamagedIndexError
from clopos_assets.tables import RECEIPTS, STOCK_LEDGER, STOCK_OPERATIONS, ContractError
from clopos_assets.tables.raw import is_closed

_RECEIPTS = ("id", "status", "deleted_at")
_OPERATIONS = (
    "id",
    "receipt_id",
    "venue_id",
    "storage_id",
    "stock_id",
    "product_id",
    "product_name",
    "quantity",
    "before_quantity",
    "after_quantity",
    "cost",
    "before_cost",
    "operated_at",
)

# Operations whose predecessor is not what it was: those after the first changed one of their stock and day, up to the
# first after the last. And stocks that have none there, whose next operation is on a later day.
_FOLLOWING = """
with in_order as (
    select
        shift_date, stock_id, operated_at, id,
        lag(operated_at) over on_stock as previous_at,
        lag(id) over on_stock as previous_id,
    from day_operations
    window on_stock as (partition by stock_id order by operated_at, id, shift_date)
)

select distinct shift_date
from in_order
inner join changes using (stock_id)
where (operated_at, id) > (first_at, first_id)
    and (previous_at is null or (previous_at, previous_id) <= (last_at, last_id))
"""
_ON_A_LATER_DAY = """
select distinct changes.stock_id
from changes
left join summary using (stock_id)
where summary.id is null or (summary.operated_at, summary.id) <= (changes.last_at, changes.last_id)
"""


def make_stock_ledger(
    lake: Lake, connection: duckdb.DuckDBPyConnection, shift_dates: Sequence[str], run_id: str = NOBODY
) -> Made:
    """Make `stock_ledger` of shift dates, and of made ones elsewhere whose rows change with theirs.

    Whatever else changed in the lake since the last making is noticed too. A partition whose rows stay the same is
    left alone. Takes its locks itself: the shift dates, and the ledger of the lake. Facts are those of the shift
    dates asked for and of whatever else was rewritten; a shift date that can't be made is in `bad`, with the reason.
    Dates are marked as `run_id`'s before they are rewritten: what is made from the ledger has to follow there.
    """
    made = Made()
    asked = sorted(set(shift_dates))
    try:
        with lake.locked([*asked, STOCK_LEDGER.name], seconds=LOCK_SECONDS):
            try:
                _Making(lake, connection, asked, made, run_id).run()
            except DamagedIndexError:
                discard_index(lake)
                # What was rewritten besides is as it should be by now, and has to be told all the same.
                made = made.besides(asked)
                _Making(lake, connection, asked, made, run_id).run()
    except (LakeError, DamagedIndexError, duckdb.Error) as error:
        reason = explain(error) if isinstance(error, duckdb.Error) else str(error)
        for shift_date in asked:
            if shift_date not in made.facts.get(STOCK_LEDGER.name, {}):
                made.fail(shift_date, reason)
    return made


class _Making:
    """One making, under the lake's ledger lock."""

    def __init__(
        self, lake: Lake, connection: duckdb.DuckDBPyConnection, asked: Sequence[str], made: Made, run_id: str
    ) -> None:
        self._lake = lake
        self._connection = connection
        self._asked = asked
        self._made = made
        self._run_id = run_id
        self._index = Index(lake)
        self._interrupted = False

    def run(self) -> None:
        """Index first all that changed, then write the ledger from the index."""
        renewed = self._renew()
        self._index.settle()
        to_make = {
            shift_date
            for shift_date in renewed
            if shift_date in self._asked or self._lake.has(STOCK_LEDGER, shift_date)
        }
        for shift_date in sorted(to_make | self._following(to_make)):
            self._make(shift_date)
        if not self._interrupted:
            self._index.followed()

    def _renew(self) -> set[str]:
        """Take in the shift dates that are asked for, new, changed, gone or left behind by a crash."""
        stamps = self._stamps()
        entries, unfinished = self._index.entries, self._index.unfinished
        for shift_date in self._asked:
            if shift_date not in stamps:
                self._made.fail(shift_date, self._missing(shift_date))
        changed = {day for day, stamp in stamps.items() if day not in entries or entries[day].stamp != stamp}
        for shift_date in sorted({*entries, *unfinished} - stamps.keys()):
            self._index.remove(shift_date)
        renewed = set()
        for shift_date in sorted(changed | ({*self._asked, *unfinished} & stamps.keys())):
            try:
                receipts, operations = self._read(shift_date)
            except LakeError as error:
                self._fail(shift_date, error)
            else:
                self._index.put(shift_date, stamps[shift_date], _closed(receipts, operations))
                renewed.add(shift_date)
        return renewed

    def _stamps(self) -> dict[str, str]:
        """The state of the inputs by shift date, where both are materialized."""
        receipts, operations = (self._lake.stamps(table) for table in (RECEIPTS, STOCK_OPERATIONS))
        return {day: f"{receipts[day]} {operations[day]}" for day in sorted(receipts.keys() & operations.keys())}

    def _missing(self, shift_date: str) -> str:
        name = (STOCK_OPERATIONS if self._lake.has(RECEIPTS, shift_date) else RECEIPTS).name
        return f"{name} of shift date {shift_date} is not materialized: materialize it first, or together"

    def _read(self, shift_date: str) -> tuple[pa.Table, pa.Table]:
        receipts = self._lake.read(RECEIPTS, shift_date, _RECEIPTS)
        operations = self._lake.read(STOCK_OPERATIONS, shift_date, _OPERATIONS)
        if receipts is None or operations is None:
            raise LakeError(self._missing(shift_date))
        return receipts, operations

    def _following(self, to_make: set[str]) -> set[str]:
        """Made shift dates besides, in which some operation follows one that came, went or changed."""
        found: set[str] = set()
        for day, changes in in_days(self._index.changes()):
            if set(self._index.filed_under(day)) - to_make:
                operations = self._index.operations(day)
                same_day = self._ask(_FOLLOWING, changes=changes, day_operations=operations)
                found |= {shift_date.isoformat() for shift_date in same_day.column(0).to_pylist()}
            if self._index.tree.after(day, changes.column("stock_id").unique()) - to_make:
                last = self._ask(_ON_A_LATER_DAY, changes=changes, summary=self._index.tree.last_of(day))
                found |= self._index.tree.after(day, last.column(0).combine_chunks())
        return {shift_date for shift_date in found - to_make if self._lake.has(STOCK_LEDGER, shift_date)}

    def _ask(self, query: str, **tables: pa.Table) -> pa.Table:
        with registered(self._connection, tables):
            return self._connection.sql(query).to_arrow_table()

    def _make(self, shift_date: str) -> None:
        try:
            receipts, operations = self._read(shift_date)
            if self._stamps_of(shift_date) != self._index.entries[shift_date].stamp:
                # Only one that is not asked for, and so not held, is being changed now: the next making notices.
                if shift_date in self._asked:
                    raise LakeError(f"the tables of shift date {shift_date} were changed meanwhile: run this again")
                return
            inputs = {
                RECEIPTS.name: receipts,
                STOCK_OPERATIONS.name: operations,
                "other_operations": self._index.neighbours(shift_date, _closed(receipts, operations)),
            }
            set_threads(self._connection, for_few_rows=operations.num_rows < MANY_OPERATIONS)
            rows = select(self._connection, STOCK_LEDGER, inputs)
            if not self._stands(shift_date, rows):
                # Also where it was asked for: it may have changed with another date, and its own raw tables not.
                self._lake.mark(shift_date, self._run_id)
                self._lake.replace(STOCK_LEDGER, shift_date, rows, {})
            elif shift_date not in self._asked:
                return
            self._made.add(STOCK_LEDGER, shift_date, _facts(rows))
        except (ContractError, LakeError, duckdb.Error) as error:
            self._fail(shift_date, error)

    def _stamps_of(self, shift_date: str) -> str:
        return " ".join(str(self._lake.stamp(table, shift_date)) for table in (RECEIPTS, STOCK_OPERATIONS))

    def _stands(self, shift_date: str, rows: pa.Table) -> bool:
        try:
            stored = self._lake.partition(STOCK_LEDGER, shift_date)
            return stored is not None and stored.has_shape and bool(stored.rows == rows)
        except LakeError:
            return False  # it can't be read: a reason to write it again

    def _fail(self, shift_date: str, error: Exception) -> None:
        self._made.fail(shift_date, explain(error) if isinstance(error, duckdb.Error) else str(error))
        # What is wrong with the rows is wrong the next time too; anything else is tried again with the next making.
        self._interrupted |= not isinstance(error, ContractError)


def _closed(receipts: pa.Table, operations: pa.Table) -> pa.Table:
    """The operations of closed receipts."""
    closed = receipts.column("id").filter(is_closed(receipts))
    return operations.filter(pc.is_in(operations.column("receipt_id"), value_set=closed))


def _facts(rows: pa.Table) -> Facts:
    """Figures of a partition. A gap is a difference in quantity, in value or in both."""
    differs = [
        pc.fill_null(pc.not_equal(rows.column(name), pa.scalar(Decimal(0))), False)
        for name in ("unexplained_quantity", "unexplained_value")
    ]
    return {
        "rows": rows.num_rows,
        "stocks": pc.count_distinct(rows.column("stock_id")).as_py(),
        "gaps": pc.sum(pc.or_(*differs)).as_py() or 0,
        "net_unexplained_value": pc.sum(rows.column("unexplained_value")).as_py() or Decimal(0),
    }
