"""JSON without loss: numbers, text, and input that is none."""

import contextlib
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clopos_assets.clopos.decode import decode_json, encode_json


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12345678901.123456", Decimal("12345678901.123456")),
        ("999999999999.999999", Decimal("999999999999.999999")),
        ("1e-7", Decimal("1E-7")),
        ("25.0", Decimal("25.0")),
        ("1e999", Decimal("1E+999")),
        ("0.1000000000000000055511151231257827", Decimal("0.1000000000000000055511151231257827")),
        ("33000", 33000),
        ("-9223372036854775809", -9223372036854775809),
        ("18446744073709551616", 18446744073709551616),
        ("9" * 400, int("9" * 400)),
        ('"12.50"', "12.50"),
        ('"Апельсинли реване ə 🍕"', "Апельсинли реване ə 🍕"),
        ("null", None),
    ],
)
def test_numbers_and_text_come_exactly(text: str, value: object) -> None:
    decoded = decode_json(text.encode())
    assert (type(decoded), str(decoded)) == (type(value), str(value))


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (rb'"\ud83c"', "\ufffd"),
        (rb'"a\uD83C\uDF55b"', "a🍕b"),
        (rb'"\udf55\ud83c"', "\ufffd\ufffd"),
        (rb'"\ud83c\ud83c\udf55 \uDFFF"', "\ufffd🍕 \ufffd"),
        (rb'"\\ud83c \ud83c"', "\\ud83c \ufffd"),
        (rb'"\ud83c\\udf55"', "\ufffd\\udf55"),
        (rb'{"\ud83c": [1.10, "\n"]}', {"\ufffd": [Decimal("1.10"), "\n"]}),
    ],
)
def test_half_of_a_pair_is_replaced_and_nothing_else(body: bytes, value: object) -> None:
    assert decode_json(body) == value


@pytest.mark.parametrize(
    "body",
    [
        rb'{"a": "\ud8", "b": "\ud83c"}',
        b"",
        b"{",
        b'{"data": [1, 2',
        b"<html>502</html>",
        b"NaN",
        b"01",
        b'{"a": 1} trailing',
        b'"\xff"',
        b'{"\xff": 1}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
        b"1e99999999999999999999",
        b"1e-99999999999999999999",
        b"9" * 5000,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_anything_else_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="not JSON"):
        decode_json(body)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["lists", "objects"])
def test_a_hundred_levels_are_the_most(opening: bytes, closing: bytes) -> None:
    decode_json(opening * 99 + b"[]" + closing * 99)
    with pytest.raises(ValueError, match="nested too deeply"):
        decode_json(opening * 100 + b"[]" + closing * 100)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    with contextlib.suppress(ValueError):
        decode_json(body)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": Decimal("1.10"), "a": {"z": 1, "ə": "Nağd"}}, '{"a":{"z":1,"ə":"Nağd"},"b":1.10}'),
        ([Decimal("1E-7"), Decimal("1E+999"), 10**30, None, True], f"[1E-7,1E+999,{10**30},null,true]"),
    ],
)
def test_canonical_text(value: object, text: str) -> None:
    assert encode_json(value) == text


_numbers = st.one_of(st.integers(), st.decimals(allow_nan=False, allow_infinity=False))
_values = st.recursive(
    st.one_of(_numbers, st.text(), st.booleans(), st.none()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(_values)
def test_text_and_back(value: object) -> None:
    text = encode_json(value)
    assert encode_json(decode_json(text.encode())) == text
    json.loads(text)
