"""The comparison that other tests lean on: what it lets through, and what it sees."""

from decimal import Decimal
from typing import Any

import pytest

from tests.oracle import Row, differences, exact, shift_dates

ROW: Row = {"venue_id": 1, "product_id": 7, "net_sales": Decimal("2.50"), "unit_cost": 0.1, "product_name": "Plov"}
NAME = "product_cogs[venue_id 1, product_id 7]"


def compare(got: list[Row], expected: list[Row]) -> list[str]:
    return differences("product_cogs", got, expected)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"net_sales": Decimal("2.5")},
        {"unit_cost": 0.1 * (1 + 1e-13)},
        {"extra": "{}", "fetched_at": None, "shift_date": "2026-01-19"},
    ],
)
def test_the_same_is_no_difference(changes: Row) -> None:
    assert compare([ROW | changes], [ROW]) == []


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"net_sales": Decimal("2.500001")}, "net_sales: got Decimal('2.500001'), expected Decimal('2.50')"),
        ({"net_sales": 2.5}, "net_sales: got 2.5, expected Decimal('2.50')"),
        ({"net_sales": "2.50"}, "net_sales: got '2.50', expected Decimal('2.50')"),
        ({"net_sales": None}, "net_sales: got None, expected Decimal('2.50')"),
        ({"unit_cost": 0.1 * (1 + 1e-11)}, f"unit_cost: got {0.1 * (1 + 1e-11)!r}, expected 0.1"),
        ({"unit_cost": Decimal("0.1")}, "unit_cost: got Decimal('0.1'), expected 0.1"),
        ({"product_name": None}, "product_name: got None, expected 'Plov'"),
    ],
)
def test_a_difference_is_told_with_key_and_column(changes: Row, found: str) -> None:
    assert compare([ROW | changes], [ROW]) == [f"{NAME} {found}"]


def test_rows_and_columns_too_many_or_too_few() -> None:
    other = ROW | {"product_id": 8}
    assert compare([], [ROW]) == [f"{NAME}: missing, expected {ROW}"]
    assert compare([ROW, other], [other]) == [f"{NAME}: not expected, got {ROW}"]
    assert compare([ROW, ROW], [ROW]) == ["product_cogs[1, 7]: got more than once"]
    assert compare([ROW | {"added": 1}], [ROW]) == [f"{NAME}: column added is not expected"]
    without = {name: value for name, value in ROW.items() if name != "net_sales"}
    assert compare([without], [ROW]) == [f"{NAME} net_sales: got None, expected Decimal('2.50')"]


def test_only_the_first_differences_are_told() -> None:
    rows = [ROW | {"product_id": number} for number in range(100)]
    assert len(differences("product_cogs", [], rows, most=3)) == 3
    assert "product_id 0]" in differences("product_cogs", [], rows, most=3)[0]


@pytest.mark.parametrize(
    ("text", "said", "same"),
    [
        ('{"b":1,"a":[1.50,null]}', {"a": [Decimal("1.5"), None], "b": 1}, True),
        ('"text"', "text", True),
        ("null", None, True),
        ('{"a":1}', {"a": True}, False),
        ('{"a":1}', {"a": 1, "b": None}, False),
        ("[1,2]", [2, 1], False),
        ("12345678901.123456", Decimal("12345678901.123457"), False),
    ],
)
def test_json_text_is_compared_by_what_it_says(text: str, said: Any, same: bool) -> None:
    assert (differences("receipts", [{"id": 1, "meta": text}], [{"id": 1, "meta": said}]) == []) is same


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0.0000005", "0"), ("0.0000015", "0.000002"), ("-0.0000025", "-0.000002"), ("12345678901.123456",) * 2],
)
def test_the_oracle_rounds_half_even(value: str, expected: str) -> None:
    assert exact(value) == exact(Decimal(value)) == Decimal(expected)


def test_the_oracle_takes_no_floats() -> None:
    for value in (0.5, True, None):
        with pytest.raises(TypeError):
            exact(value)


def test_receipts_are_grouped_by_their_shift_date() -> None:
    receipts = [{"id": 1, "shift_date": "2026-01-20"}, {"id": 2, "shift_date": "2026-01-19"}]
    assert {day: [receipt["id"] for receipt in rows] for day, rows in shift_dates(receipts).items()} == {
        "2026-01-19": [2],
        "2026-01-20": [1],
    }
    assert list(shift_dates(receipts)) == ["2026-01-19", "2026-01-20"]
