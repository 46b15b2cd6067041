"""What happened to single receipts of a shift date that was made before, in words for those who look at it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

_SHOWN = 50
_STATUS = {1: "open", 2: "closed"}


@dataclass(frozen=True, slots=True)
class Change:
    """One receipt's: what happened, and its status and total before and after, empty where it was or is not here."""

    receipt_id: int
    what: str
    before: str
    after: str

    @classmethod
    def of(
        cls,
        receipt_id: int,
        before: Mapping[str, object] | None,
        after: Mapping[str, object] | None,
        *,
        came_from: str | None = None,
        went_to: str | None = None,
    ) -> "Change":
        """From the receipt's `status` and `total` as they were and as they are; dates are those it moved between."""
        if after is None:
            what = "removed" if went_to is None else f"moved to {went_to}"
        elif before is None:
            what = "added" if came_from is None else f"moved here from {came_from}"
        else:
            what = "changed"
        return cls(receipt_id, what, _state(before), _state(after))


def _state(row: Mapping[str, object] | None) -> str:
    if row is None:
        return ""
    status = row["status"]
    shown = _STATUS.get(status) if isinstance(status, int) else None
    return f"{shown or f'status {status}'}, {_amount(row['total'])}"


def _amount(total: object) -> str:
    """Money with two places, or with as many more as it has."""
    if not isinstance(total, Decimal):
        return "no total"
    cents = round(total, 2)
    return f"{cents if cents == total else total.normalize():,f}"


def describe_changes(changes: Sequence[Change]) -> str:
    """A table for the UI, in order of receipt; the first fifty, and how many more."""
    lines = ["| receipt | what | before | after |", "|--:|---|---|---|"]
    ordered = sorted(changes, key=lambda change: change.receipt_id)
    lines += [f"| {c.receipt_id} | {c.what} | {c.before} | {c.after} |" for c in ordered[:_SHOWN]]
    if len(ordered) > _SHOWN:
        lines.append(f"| | and {len(ordered) - _SHOWN} more | | |")
    return "\n".join(lines)
