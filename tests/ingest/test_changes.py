"""What is said of single receipts that changed."""

from decimal import Decimal

import pytest

from clopos_assets.ingest.changes import Change, describe_changes


@pytest.mark.parametrize(
    ("total", "shown"),
    [
        (Decimal("28.920000"), "28.92"),
        (Decimal("1234.500000"), "1,234.50"),
        (Decimal("-0.001250"), "-0.00125"),
        (Decimal("100.000000"), "100.00"),
        (Decimal("0.000000"), "0.00"),
        (None, "no total"),
    ],
)
def test_money_has_two_places_or_all_that_it_has(total: Decimal | None, shown: str) -> None:
    change = Change.of(1, {"status": 2, "total": total}, None)
    assert describe_changes([change]).splitlines()[-1] == f"| 1 | removed | closed, {shown} |  |"
