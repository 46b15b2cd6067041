"""finding_history: findings come, stay, go and come back, and their instants follow; by example and by an oracle."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from clopos_assets.findings import CHECKS, follow_findings
from clopos_assets.tables import FINDING_HISTORY, VARIANCE_FINDINGS

Row = dict[str, Any]

IDS = tuple("abcdefg")
# A finding is of one check for good; a check has two findings.
CHECK_OF = {finding_id: CHECKS[number // 2].name for number, finding_id in enumerate(IDS)}


def at(making: int) -> datetime:
    """The instant of the making of that number, with all its digits."""
    return datetime(2026, 1, 20, 6, 0, 0, 123457, tzinfo=UTC) + timedelta(hours=making)


def findings(ids: Iterable[str]) -> pa.Table:
    rows = [dict.fromkeys(VARIANCE_FINDINGS.names) | {"finding_id": each, "check_name": CHECK_OF[each]} for each in ids]
    return pa.Table.from_pylist(rows, schema=VARIANCE_FINDINGS.schema)


def follow(makings: Sequence[Iterable[str]]) -> list[dict[str, Row]]:
    """The history after each making, by finding."""
    history = None
    seen = []
    for number, ids in enumerate(makings):
        history = follow_findings(history, findings(ids), at(number))
        FINDING_HISTORY.check(history)
        rows = {row["finding_id"]: row for row in history.to_pylist()}
        assert len(rows) == history.num_rows
        seen.append(rows)
    return seen


def expected(makings: Sequence[Iterable[str]]) -> dict[str, Row]:
    """The history after all of these, told from them all at once rather than from the history before."""
    standing = [set(ids) for ids in makings]
    rows = {}
    for finding_id in set().union(*standing):
        found = [number for number, ids in enumerate(standing) if finding_id in ids]
        is_gone = found[-1] < len(standing) - 1
        rows[finding_id] = {
            "finding_id": finding_id,
            "check_name": CHECK_OF[finding_id],
            "first_seen_at": at(found[0]),
            "last_seen_at": at(found[-1]),
            "resolved_at": at(found[-1] + 1) if is_gone else None,
        }
    return rows


def instants(rows: Mapping[str, Row], finding_id: str) -> tuple[datetime, datetime, datetime | None]:
    row = rows[finding_id]
    return row["first_seen_at"], row["last_seen_at"], row["resolved_at"]


def test_a_finding_comes_stays_goes_stays_gone_and_comes_back() -> None:
    # b is there all along, c goes for good before a does.
    history = follow([["b", "c"], ["b", "c", "a"], ["b", "a"], ["b"], ["b"], ["b", "a"], ["b"]])
    assert [rows.keys() for rows in history] == [{"b", "c"}, *[{"a", "b", "c"}] * 6]
    assert [instants(rows, "a") for rows in history[1:]] == [
        (at(1), at(1), None),
        (at(1), at(2), None),
        (at(1), at(2), at(3)),
        (at(1), at(2), at(3)),
        (at(1), at(5), None),
        (at(1), at(5), at(6)),
    ]
    assert [instants(rows, "b") for rows in history] == [(at(0), at(number), None) for number in range(7)]
    assert [instants(rows, "c") for rows in history[2:]] == [(at(0), at(1), at(2))] * 5
    assert {finding_id: row["check_name"] for finding_id, row in history[-1].items()} == {
        finding_id: CHECK_OF[finding_id] for finding_id in "abc"
    }


def test_without_findings_there_is_no_history() -> None:
    assert follow([[], []]) == [{}, {}]


def makings_of(seed: int) -> list[list[str]]:
    """Findings that mostly stay as they are, in an order of their own each time; at times there are none."""
    random = Random(seed)
    makings: list[list[str]] = []
    standing: set[str] = set()
    for _ in range(40):
        standing ^= {finding_id for finding_id in IDS if random.random() < 0.25}
        ids = random.choice([*[sorted(standing)] * 7, []])
        makings.append(random.sample(ids, len(ids)))
    return makings


@pytest.mark.parametrize("seed", range(6))
def test_any_sequence_of_findings_is_as_the_oracle_has_it(seed: int) -> None:
    makings = makings_of(seed)
    for number, rows in enumerate(follow(makings), start=1):
        assert rows == expected(makings[:number]), number


@pytest.mark.parametrize("seed", range(6))
def test_the_sequences_hold_the_cases_that_matter(seed: int) -> None:
    makings = makings_of(seed)
    steps = [(set(before), set(after)) for before, after in pairwise(makings)]
    known = [set().union(*makings[:number]) for number in range(1, len(makings))]
    met = {
        "none": [] in makings,
        "stays": any(before & after for before, after in steps),
        "goes": any(before - after for before, after in steps),
        "stays gone": any(ever - before - after for ever, (before, after) in zip(known, steps, strict=True)),
        "comes back": any(ever & (after - before) for ever, (before, after) in zip(known, steps, strict=True)),
        "comes late": any(after - ever for ever, (_, after) in zip(known, steps, strict=True)),
    }
    assert [name for name, is_met in met.items() if not is_met] == []
