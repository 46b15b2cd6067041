"""Fuzz of the way from an answer's bytes to rows in Parquet: exact rows or an error of ours, and nothing else.

`python -m tests.faults.decoder --cases 100000 --seed 0` for more cases than the tests take.
"""

import argparse
import asyncio
import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import hypothesis
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, Phase, given
from multidict import CIMultiDict

from clopos_assets.clopos import verdict
from clopos_assets.clopos.client import Clopos
from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.decode import decode_json, encode_json
from clopos_assets.clopos.dialect import DIALECTS
from clopos_assets.clopos.errors import CloposError
from clopos_assets.clopos.listing import read_objects, read_page
from clopos_assets.clopos.quota import Quota
from clopos_assets.clopos.reply import read_reply
from clopos_assets.clopos.token import TokenCache
from clopos_assets.clopos.wire import Answer, Request
from clopos_assets.ingest import IngestError, Made, Scope, make_receipts, make_stock_operations
from clopos_assets.ingest.answers import gather_rows, read_batch
from clopos_assets.ingest.day import ClosedReceipt, read_operations
from clopos_assets.lake import Lake
from clopos_assets.tables import RECEIPT_PRODUCTS, RECEIPTS, STOCK_OPERATIONS, ContractError, Table
from clopos_assets.tables.columns import Kind
from clopos_assets.tables.encoding import encoding_of
from clopos_assets.tables.privacy import Privacy, is_personal
from clopos_assets.tables.values import RowError
from tests.faults.answers import DAY
from tests.faults.cases import Case, cases, every_nasty_place, valid
from tests.ingest.shop import NOW, ZONE
from tests.tables.decoding import FETCHED_AT, OPERATION

_HALF = re.compile("[\ud800-\udfff]")
_EXACT = Context(prec=5000, rounding=ROUND_HALF_EVEN)


@dataclass
class Fed:
    """Stands for the wire: gives each request its answer without a network."""

    case: Case
    is_broken: bool = True
    given: Counter[str] = field(default_factory=Counter)

    async def send(self, request: Request) -> Answer:
        route, asked = self._route_of(request.target)
        is_first = not self.given[route]
        self.given[route] += 1
        # A list goes on with pages that hold nothing, so that no promise of its first one is kept for long.
        if self.is_broken and route == self.case.route and (is_first or route != "list"):
            return Answer(self.case.status, self.case.sent_headers, self.case.body)
        if route == "list" and "page=1&" not in request.target:
            return Answer(200, CIMultiDict(), b'{"success":true,"data":[],"total":1}')
        return Answer(200, CIMultiDict(), valid(self.case.version, route, asked))

    def _route_of(self, target: str) -> tuple[str, int]:
        parts = target.partition("?")[0].removeprefix("/v2").strip("/").split("/")
        if len(parts) == 1:
            return ("list" if parts[0] == "receipts" else parts[0]), 1
        return ("operations" if len(parts) == 3 else "receipt"), int(parts[1])


class Kitchen:
    """Makes shift dates of what it is fed, each case in a lake of its own."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._made = 0
        self.outcomes: Counter[str] = Counter()

    def judge(self, case: Case) -> None:
        """Raises AssertionError, or what it should not, where a case does not end as it has to."""
        _judge_text(case.body)
        self.outcomes[_judge_answer(case)] += 1
        if case.is_made:
            self._judge_making(case)

    def _judge_making(self, case: Case) -> None:
        self._made += 1
        lake = Lake(self._root / str(self._made))
        fed = Fed(case)
        made = self._make(lake, fed)
        for reason in made.bad.values():
            _judge_error(reason)
        self.outcomes["refused" if made.bad else "made"] += 1
        for table in (RECEIPTS, RECEIPT_PRODUCTS, STOCK_OPERATIONS):
            rows = None if made.bad else lake.read(table, DAY)
            if rows is not None:
                _judge_rows(case, table, rows, is_made=True)
        # What was broken leaves nothing behind that a good answer does not mend.
        fed.is_broken = False
        again = self._make(lake, fed)
        assert again.bad == {}, again.bad
        rows = lake.read(RECEIPTS, DAY, ["id", "total"])
        assert rows is not None
        assert {"id": 1, "total": Decimal("12345678901.123456")} in rows.to_pylist()
        shutil.rmtree(lake.root)

    def _make(self, lake: Lake, fed: Fed) -> Made:
        return asyncio.run(self._run(lake, fed))

    async def _run(self, lake: Lake, fed: Fed) -> Made:
        dialect = DIALECTS[fed.case.version]
        connection = Connection(
            base_url="http://127.0.0.1:1",
            client_id="id",
            client_secret="secret-of-this-test",
            brand="brand",
            integrator_id="integrator",
            dialect=dialect,
            attempts=1,
            backoff_seconds=0.0001,
        )
        clopos = Clopos(connection, quota=Quota(10**6, 0.05), tokens=TokenCache())
        scope = _scope(fed.case)
        with patch.object(clopos, "_wire", fed):
            if fed.is_broken:
                lake.wait_for(DAY, 2, 1)
            made = await make_receipts(lake, clopos, scope, [DAY])
            if not made.bad:
                operations = await make_stock_operations(lake, clopos, scope, [DAY], "all")
                made.bad.update(operations.bad)
            return made


def _judge_text(body: bytes) -> None:
    """The decoder against the standard library's, digit by digit."""
    try:
        value = decode_json(body)
    except ValueError:
        return
    expected = json.loads(body, parse_float=Decimal, parse_constant=_refuse)
    assert _shape(value) == _shape(_without_halves(expected))
    assert decode_json(encode_json(value).encode()) == value


def _without_halves(value: object) -> object:
    """What the standard library makes of half a pair of surrogates, replaced: it is no text."""
    if isinstance(value, dict):
        return {_without_halves(name): _without_halves(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_halves(inner) for inner in value]
    return _HALF.sub("\ufffd", value) if isinstance(value, str) else value


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def _shape(value: object) -> object:
    """The value with its types, and decimals by their digits, so that 1, 1.0 and true differ."""
    if isinstance(value, dict):
        return {name: _shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_shape(inner) for inner in value]
    return type(value).__name__, value.as_tuple() if isinstance(value, Decimal) else value


def _judge_error(message: str) -> None:
    assert message, "an error says something"
    assert message.isprintable(), f"an error is one line: {message!r}"
    assert len(message) < 3000, f"an error is not endless: {len(message)}"


def _judge_answer(case: Case) -> str:
    """The answer by itself, read into rows, through Parquet and back; what came of it."""
    answer = Answer(case.status, case.sent_headers, case.body)
    dialect = DIALECTS[case.version]
    try:
        reply = read_reply(answer, secrets=("secret",), dialect=dialect, venue_id=1, one_resource=case.route != "list")
        if reply.verdict.kind is not verdict.Kind.OK:
            _judge_error(reply.verdict.text)
            return "no good answer"
        envelope = reply.read()
        if case.route == "operations":
            tables = [(STOCK_OPERATIONS, _operations(case, read_objects(envelope, "test")))]
        else:
            items = (
                read_page(envelope, "test").items
                if case.route == "list"
                else read_objects({"data": [envelope.get("data")]}, "test")
            )
            tables = _receipts(case, items)
        for table, rows in tables:
            table.check(rows)
            sink = pa.BufferOutputStream()
            pq.write_table(rows, sink, **encoding_of(table))
            _judge_rows(case, table, pq.ParquetFile(pa.BufferReader(sink.getvalue())).read(use_threads=False))
    except (CloposError, IngestError, ContractError) as error:
        _judge_error(str(error))
        return "no rows"
    return "rows" if sum(rows.num_rows for _, rows in tables) else "no row"


def _operations(case: Case, items: list[dict[str, object]]) -> pa.Table:
    closed = ClosedReceipt(1, 1, None, True, b"version")
    try:
        stored = [_privacy(case).stored(item) for item in items]
    except RowError as error:
        raise IngestError(str(error)) from None
    rows = read_operations(stored, closed)
    return OPERATION.to_arrow(rows or [], FETCHED_AT)


def _receipts(case: Case, items: list[dict[str, object]]) -> list[tuple[Table, pa.Table]]:
    batch = read_batch(
        items,
        _scope(case),
        asked_venue=1,
        fetched_at=FETCHED_AT,
        brings_operations=case.version == "v1",
    )
    for bad in batch.bad:
        _judge_error(str(bad))
    receipts, lines = gather_rows(batch.entries)
    return [(RECEIPTS, receipts), (RECEIPT_PRODUCTS, lines)]


def _scope(case: Case) -> Scope:
    return Scope(
        venue_ids="all" if case.version == "v2" else (1,),
        days_before=2,
        days_after=1,
        zone=ZONE,
        allow_mass_removal=True,
        privacy=_privacy(case),
        clock=lambda: NOW.replace(tzinfo=ZONE).astimezone(UTC),
    )


def _privacy(case: Case) -> Privacy:
    return Privacy(case.handling, b"key of this test")


def _judge_rows(case: Case, table: Table, rows: pa.Table, *, is_made: bool = False) -> None:
    """Rows are what the answer says, by a reading of the answer that is not the product's."""
    told = _objects_in(case, case.body) if case.status < 300 else {}
    # What could not be read may have been asked for again, and have come in order.
    in_order = _objects_in(case, valid(case.version, case.route)) if is_made else {}
    for row in rows.to_pylist():
        key = table.name, row["id"]
        candidates = told.get(key, []) + in_order.get(key, []) if key in told else []
        wrong = [_difference(case, table, row, item) for item in candidates]
        # The same id may stand in an answer several times, of which one is taken.
        assert not wrong or None in wrong, wrong[0]


def _objects_in(case: Case, body: bytes) -> dict[tuple[str, object], list[dict[str, Any]]]:
    """The objects of an answer by table and id."""
    found: dict[tuple[str, object], list[dict[str, Any]]] = {}
    try:
        envelope = _without_halves(json.loads(body, parse_float=Decimal))
    except (ValueError, RecursionError):
        return found

    def file(table: Table, item: Any) -> None:
        if isinstance(item, dict):
            said = item.get("id")
            is_whole = isinstance(said, str) and len(said) < 30 and said.strip().lstrip("+-").isdigit()
            whole = int(str(said)) if is_whole else said
            found.setdefault((table.name, whole if not isinstance(whole, list | dict) else None), []).append(item)

    data = envelope.get("data") if isinstance(envelope, dict) else None
    listed = data if isinstance(data, list) else [data]
    if case.route == "operations":
        for item in listed:
            file(STOCK_OPERATIONS, item)
        return found
    for item in listed if case.route in ("list", "receipt") else ():
        file(RECEIPTS, item)
        lines = item.get("receipt_products") if isinstance(item, dict) else None
        for line in lines if isinstance(lines, list) else ():
            file(RECEIPT_PRODUCTS, line)
    return found


def _difference(case: Case, table: Table, row: Mapping[str, Any], item: Mapping[str, Any]) -> str | None:
    """What a row has otherwise than the object that it was read from; None where nothing."""
    for column in table.columns:
        if len(column.source) != 1 or column.v1_source or is_personal(column.name):
            continue
        said, stored = item.get(column.source[0]), row[column.name]
        # What is inside a structure may be personal, and is then not stored as it was said.
        if case.handling != "keep" and isinstance(said, dict | list):
            continue
        try:
            is_right = stored is None if said is None else _is_same(column.kind, said, stored)
        except (ArithmeticError, TypeError, ValueError):  # nothing of the kind was said
            is_right = False
        if not is_right:
            return f"{column.name}: {said!r} became {stored!r}"
    return None


def _is_same(kind: Kind, said: Any, stored: Any) -> bool:
    match kind:
        case Kind.DECIMAL:
            return bool(stored == Decimal(said).quantize(Decimal("0.000001"), context=_EXACT))
        case Kind.ID | Kind.WHOLE:
            return bool(stored == Decimal(said))
        case Kind.TEXT if isinstance(said, str):
            return bool(stored == said)
        case Kind.TIME:
            return isinstance(said, str) and bool(stored == datetime.fromisoformat(said))
        case Kind.TEXT | Kind.JSON:
            return bool(json.loads(stored, parse_float=Decimal) == said)
    return True


def run(number: int, judge: Callable[[Case], None], *, seed: int | None = None) -> None:
    """Judge so many cases, the same ones each time without a seed. A failing case is cut down, shown and raised."""

    @hypothesis.settings(
        max_examples=number,
        derandomize=seed is None,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def check(case: Case) -> None:
        judge(case)

    (check if seed is None else hypothesis.seed(seed)(check))()


def main() -> None:
    """Judge as many cases as asked for, and say what came of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kitchen = Kitchen(Path(folder))
        for case in every_nasty_place():
            kitchen.judge(case)
        run(asked.cases, kitchen.judge, seed=asked.seed)
    print(f"{asked.cases} cases: {dict(kitchen.outcomes)}")


if __name__ == "__main__":
    main()
