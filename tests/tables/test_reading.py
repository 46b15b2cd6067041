"""Single values of an answer: numbers to the last decimal, flags, whole numbers, times, text; and what is refused."""

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from clopos_assets.tables.values import (
    RowError,
    name_of,
    read_decimal,
    read_flag,
    read_shift_date,
    read_text,
    read_time,
    read_whole,
)
from tests.tables.decoding import LINE, OPERATION, RECEIPT

HUGE = "9" * 400


def parsed(text: str) -> Any:
    """What a JSON text says, decimals exact."""
    return json.loads(text, parse_float=Decimal)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12345678901.123456", "12345678901.123456"),
        ("999999999999.999999", "999999999999.999999"),
        ("-999999999999.999999", "-999999999999.999999"),
        ("33000", "33000"),
        ("8.5", "8.5"),
        ("1e-7", "0"),
        ("1e-6", "0.000001"),
        ("1.5E+3", "1500"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("-0.0000001", "0"),
        ("0.1", "0.1"),
        ('"12.50"', "12.5"),
        ('"-12345678901.123456"', "-12345678901.123456"),
        ('"1e3"', "1000"),
        ('"+4"', "4"),
        ('".5"', "0.5"),
        # Half to even at the seventh decimal; above and below half as usual.
        ("0.0000005", "0"),
        ("0.0000015", "0.000002"),
        ("0.0000025", "0.000002"),
        ("-0.0000015", "-0.000002"),
        ("-0.0000025", "-0.000002"),
        ("0.00000250000000000000000000000000000000000001", "0.000003"),
        ("0.0000024999999999999999999999999999999999999", "0.000002"),
        ("999999999999.9999994999999999999999999999999999", "999999999999.999999"),
        ("1e-999999999", "0"),
        (f"0.{'0' * 500}1", "0"),
    ],
)
def test_numbers_are_exact(text: str, expected: str) -> None:
    value = read_decimal(parsed(text))
    assert value == Decimal(expected)
    assert value.as_tuple().exponent == -6
    assert str(value) != "-0.000000"


@pytest.mark.parametrize(
    "text",
    [
        "1000000000000",
        "-1000000000000",
        "999999999999.9999995",
        "-999999999999.9999995",
        "1e12",
        "1e400",
        "1e999999999",
        "-1e999999999",
        HUGE,
        f'"{HUGE}"',
        '"1e9999"',
    ],
)
def test_a_number_that_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(RowError, match=r"does not fit DECIMAL\(18,6\)$") as caught:
        read_decimal(parsed(text))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "abc",
        "1_000",
        "1,5",
        " 1",
        "1 ",
        "1\n",
        "NaN",
        "Infinity",
        "-",
        ".",
        "0x10",
        "١٢",
        "1e99999999999999999999",
        True,
        False,
        [],
        {},
        1.5,
    ],
)
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(RowError):
        read_decimal(value)
    with pytest.raises(RowError):
        read_whole(value)


@pytest.mark.parametrize(
    ("identity", "said"), [(17, "17"), ("17", "17"), ("a\nb", "'a\\nb'"), ("ä", "'ä'"), ([1], "a list")]
)
def test_an_id_is_named_on_one_line(identity: object, said: str) -> None:
    assert name_of(identity) == said


def test_a_number_too_long_to_be_written_out_is_told_by_its_size() -> None:
    with pytest.raises(RowError, match=r"^a whole number of 16610 bits does not fit BIGINT$"):
        read_whole(10**5000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("-3", -3),
        ("31042", 31042),
        ('"31042"', 31042),
        ("1.0", 1),
        ("1e3", 1000),
        ("9007199254740993", 9007199254740993),
        ('"9007199254740993"', 9007199254740993),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
    ],
)
def test_whole_numbers(text: str, expected: int) -> None:
    value = read_whole(parsed(text))
    assert type(value) is int
    assert value == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1.5", "1.5 is not a whole number"),
        ('"1.5"', "1.5 is not a whole number"),
        ("1.0000001", "1.0000001 is not a whole number"),
        ("1e-7", "1E-7 is not a whole number"),
        ("9223372036854775808", "9223372036854775808 does not fit BIGINT"),
        ("-9223372036854775809", "-9223372036854775809 does not fit BIGINT"),
        ("1e999999999", "1E+999999999 does not fit BIGINT"),
    ],
)
def test_what_is_no_whole_number_is_refused(text: str, reason: str) -> None:
    with pytest.raises(RowError) as caught:
        read_whole(parsed(text))
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", True), ("false", False), ("1", True), ("0", False), ('"1"', True), ('"0"', False), ("1.0", True)],
)
def test_flags(text: str, expected: bool) -> None:
    assert read_flag(parsed(text)) is expected


@pytest.mark.parametrize("value", [2, -1, "", "true", "yes", Decimal("0.5"), [], {}])
def test_what_is_no_flag_is_refused(value: object) -> None:
    with pytest.raises(RowError, match="neither true, false, 0 nor 1"):
        read_flag(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-19 15:07:49", datetime(2026, 1, 19, 15, 7, 49)),
        ("2026-01-19T15:07:49", datetime(2026, 1, 19, 15, 7, 49)),
        ("2026-01-19 15:07:49.5", datetime(2026, 1, 19, 15, 7, 49, 500000)),
        ("2024-02-29 00:00:00", datetime(2024, 2, 29)),
    ],
)
def test_times_have_no_zone(text: str, expected: datetime) -> None:
    assert read_time(text) == expected
    assert read_time(text).tzinfo is None


@pytest.mark.parametrize(
    "value",
    [
        "",
        "2026-01-19",
        "2026-02-29 00:00:00",
        "2026-01-19 24:00:00",
        "2026-01-19 15:07:49Z",
        "19.01.2026 15:07:49",
        "2026-01-19 15:07:49+04:00",
        "0000-00-00 00:00:00",
        1768834069,
        True,
        {},
    ],
)
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(RowError, match=r"is not a time as YYYY-MM-DD HH:mm:ss$"):
        read_time(value)


def test_shift_dates() -> None:
    assert read_shift_date("2026-01-19") == date(2026, 1, 19).isoformat()


@pytest.mark.parametrize(
    "value", ["", "2026-1-9", "2026-02-30", "20260119", "2026-01-19 00:00:00", "2026-W04", 20260119]
)
def test_what_is_no_shift_date_is_refused(value: object) -> None:
    with pytest.raises(RowError, match=r"is not a date as YYYY-MM-DD$"):
        read_shift_date(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("Plov", "Plov"), ("", ""), ("006", "006"), (6, "6"), (Decimal("6.50"), "6.50"), ({"az": "Ət"}, '{"az":"Ət"}')],
)
def test_text_is_kept_as_it_is(value: object, expected: str) -> None:
    assert read_text(value) == expected


MINIMAL: dict[str, Any] = {
    "id": 1,
    "venue_id": 1,
    "status": 2,
    "total": Decimal("12.5"),
    "created_at": "2026-01-19 10:00:00",
    "updated_at": "2026-01-19 10:00:00",
}
LINE_MINIMAL: dict[str, Any] = {"id": 1, "product_id": 7, "count": 1, "total": 5}
OPERATION_MINIMAL: dict[str, Any] = {
    "id": 1,
    "receipt_id": 1,
    "product_id": 7,
    "stock_id": 8,
    "storage_id": 3,
    "quantity": 1,
    "before_quantity": 5,
    "after_quantity": 4,
    "cost": 2,
    "total_cost": 2,
    "operated_at": "2026-01-19 10:00:00",
}


def test_the_least_an_answer_must_say() -> None:
    for reader, item, given in (
        (RECEIPT, MINIMAL, ()),
        (LINE, LINE_MINIMAL, (1, 1)),
        (OPERATION, OPERATION_MINIMAL, (1,)),
    ):
        row = dict(zip(reader.names, reader.read(item, *given), strict=True))
        assert {name for name, value in row.items() if value is not None} - {"receipt_id", "venue_id"} == set(item) - {
            "receipt_id",
            "venue_id",
        }
        for name in item:
            for absent in ({key: value for key, value in item.items() if key != name}, {**item, name: None}):
                with pytest.raises(RowError) as caught:
                    reader.read(absent, *given)
                assert str(caught.value) == f"{name} is missing"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("total", "1e12", "total: 1E+12 does not fit DECIMAL(18,6)"),
        ("i_tax", [], "i_tax: a list is not a number"),
        ("totalCost", "free", "totalCost: 'free' is not a number"),
        ("guests", "2.5", "guests: 2.5 is not a whole number"),
        ("lock", "no", "lock: 'no' is neither true, false, 0 nor 1"),
        ("closed_at", "noon", "closed_at: 'noon' is not a time as YYYY-MM-DD HH:mm:ss"),
        ("payment_methods", {"id": 1}, "payment_methods: an object is not a list of payments"),
        ("payment_methods", [1], "payment_methods: not all in the list are payments"),
        ("payment_methods", [{"amount": "x"}], "payment_methods: amount 'x' is not a number"),
        ("payment_methods", [{"amount": 10**12}], f"payment_methods: amount {10**12} does not fit DECIMAL(18,6)"),
    ],
)
def test_an_error_names_field_and_value_in_one_line(field: str, value: object, message: str) -> None:
    with pytest.raises(RowError) as caught:
        RECEIPT.read({**MINIMAL, field: value})
    assert str(caught.value) == message


def test_an_error_in_a_nested_field_names_its_path() -> None:
    with pytest.raises(RowError, match=r"^meta\.product\.price: 'x' is not a number$"):
        LINE.read({**LINE_MINIMAL, "meta": {"product": {"price": "x"}}}, 1, 1)


def test_a_long_value_is_shown_in_part() -> None:
    with pytest.raises(RowError) as caught:
        RECEIPT.read({**MINIMAL, "total": "word " * 1000 + "\n"})
    assert len(str(caught.value)) < 100
    assert "\n" not in str(caught.value)


def test_payments() -> None:
    row = RECEIPT.read({**MINIMAL, "payment_methods": [{"id": "1", "name": "Nağd", "amount": "2.5"}, {"name": None}]})
    assert dict(zip(RECEIPT.names, row, strict=True))["payment_methods"] == [
        {"id": 1, "name": "Nağd", "amount": Decimal("2.500000")},
        {"id": None, "name": None, "amount": None},
    ]


@pytest.mark.parametrize(
    "meta", [None, [], "text", {}, {"product": None}, {"product": []}, {"product": {"name": None}}]
)
def test_a_line_without_its_product_has_no_name(meta: object) -> None:
    row = dict(zip(LINE.names, LINE.read({**LINE_MINIMAL, "meta": meta}, 1, 1), strict=True))
    assert row["product_name"] is None
    assert row["extra"] is None
