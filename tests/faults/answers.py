"""Answers that a broken or malicious Clopos could give, for hypothesis: valid ones, and what is left of them."""

import json
import re
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from tests.ingest.shop import operation as deduction

Json = dict[str, Any]

DAY = "2026-01-19"
OTHER_DAY = "2026-01-20"

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[\[\]{},:]')

_SHORT = (
    # Numbers: exponents, digits beyond every type, halves that round, and what is none.
    b"1e400|1E-400|-0|-0.0|0.0000005|0.0000015|0.00000049999|12345678901.123456|999999999999.999999"
    b"|999999999999.9999995|-999999999999.9999996|1000000000000|9223372036854775807|9223372036854775808"
    b"|-9223372036854775808|-9223372036854775809|18446744073709551616|1e18|1e19|25.0|2.50|1e-7|1E+2|1e999999"
    b"|1e-999999|1e99999999999999999999|0e99999999999999999999|NaN|Infinity|-Infinity|01|+1|.5|5.|0x10|1_000|--1"
    # Numbers and times as text.
    b'|"12.50"|"1e5"|"1e9999"|"1e99999"|".5"|"5."|"+5"|" 5 "|"5,00"|"0x1F"|"NaN"|"Infinity"|"-inf"|"sNaN"|"1_000"'
    b'|""|" "|"0"|"1"|"2026-01-19"|"2026-01-20"|"2026-02-30"|"0000-01-01"|"0001-01-01"|"9999-12-31"'
    b'|"2026-01-19 24:00:00"|"2026-01-19T12:00:00"|"2026-01-19 12:00:00.123456"|"0001-01-01 00:00:00"'
    b'|"9999-12-31 23:59:59"|"2026-01-19 12:00:00Z"|"2026-01-19 12:00:60"|"19.01.2026"'
    # Text that is none, or holds what breaks lines, names and readers.
    b'|"\\ud800"|"\\udc00\\ud800"|"\\ud83c\\udf55"|"\\u0000"|"a\\u0000b"|"\\n\\r\\t"|"\\u2028"|"\\x"|"\\u12"|"\xff"'
    b'|"\xed\xa0\x80"|"\xc0\xaf"|"../../x"|"\xd9\xa1\xd9\xa2"|"\xd9\xa2\xd9\xa0\xd9\xa2\xd9\xa6-01-19"'
    # Values of another type, keys twice, nothing, and too much of it.
    b'|true|false|null|[]|{}|[[]]|[null]|[{}]|{"a":1,"a":2}|{"id":1,"id":"x"}|{"":{}}|{"\\ud800":1}|{"id":[1]}'
).split(b"|")
NASTY = [
    *_SHORT,
    b"9" * 400,
    b"9" * 4299,
    b"9" * 4301,
    b"-" + b"9" * 4301,
    b"0." + b"3" * 500,
    b"1" + b"0" * 300 + b"e-300",
    b'"' + b"9" * 5000 + b'"',
    b'"' + b"x" * 5000 + b'"',
    b"[" * 60 + b"]" * 60,
    b"[" * 70 + b"]" * 70,
    b'{"a":' * 70 + b"1" + b"}" * 70,
    b"[" * 110 + b"]" * 110,
    b"[" * 900 + b"]" * 900,
    b"[" * 970 + b"]" * 970,
    b"[" * 1200 + b"]" * 1200,
    b"[" * 20_000,
]
"""Texts to stand in the place of any other token."""


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


_WELL_FORMED = tuple(text for text in NASTY if _is_json(text) and text not in (b"NaN", b"Infinity", b"-Infinity"))
_ILL_FORMED = tuple(text for text in NASTY if text not in _WELL_FORMED)

_AMOUNTS = st.one_of(
    st.integers(-(10**13), 10**13).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12).map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,19})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
)
_TEXTS = st.integers(0, 11).flatmap(lambda kind: st.sampled_from(_WELL_FORMED if kind else _ILL_FORMED))
_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.floats(allow_nan=False)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_FIELDS = st.sampled_from(
    [
        "id",
        "venue_id",
        "receipt_id",
        "product_id",
        "stock_id",
        "status",
        "total",
        "shift_date",
        "created_at",
        "updated_at",
        "closed_at",
        "deleted_at",
        "receipt_products",
        "payment_methods",
        "amount",
        "quantity",
        "cost",
        "total_cost",
        "before_quantity",
        "operated_at",
        "product",
        "stock",
        "storage",
        "name",
        "meta",
        "count",
        "portion_size",
        "is_gift",
        "customer",
        "address",
        "description",
        "stock_operations",
        "success",
        "data",
        "total",
        "extra_field",
        "error",
        "message",
    ]
)


def receipt(receipt_id: int, shift_date: str = DAY) -> Json:
    """A closed receipt of one line as v1 and v2 give it."""
    return {
        "id": receipt_id,
        "venue_id": 1,
        "cid": f"receipt-{receipt_id}",
        "status": 2,
        "order_number": "17",
        "total": Decimal("12345678901.123456"),
        "subtotal": "12.50",
        "customer": {"name": "Əli", "phone": "+994"},
        "payment_methods": [{"id": 1, "name": "Nağd", "amount": Decimal("12.50")}],
        "created_at": f"{shift_date} 12:00:00",
        "updated_at": f"{shift_date} 12:30:00",
        "closed_at": f"{shift_date} 12:30:00",
        "shift_date": shift_date,
        "receipt_products": [
            {"id": receipt_id * 10, "product_id": 7, "count": 1, "total": Decimal("12.50")}
            | {"meta": {"product": {"name": "Plov", "type": "DISH"}}, "is_gift": 0, "portion_size": 1}
        ],
    }


def operation(receipt_id: int) -> Json:
    """The deduction of that line."""
    return deduction(receipt_id, f"{DAY} 12:30:00", before_cost="3.2")


def written(value: Any) -> bytes:
    """JSON, decimals digit by digit."""
    text = json.dumps(value, default=lambda number: f"<{number}>", ensure_ascii=False)
    return re.sub(r'"<([^<>"]*)>"', r"\1", text).encode()


_WAYS = ("tokens",) * 8 + ("fields",) * 5 + ("bytes",) * 2 + ("whole", "other")
_KEYS = re.compile(rb'"(\w+)"')


@st.composite
def broken(draw: st.DrawFn, body: bytes) -> bytes:
    """The body with a few of its tokens or bytes changed; now and then as it is, or something else altogether."""
    how = draw(st.sampled_from(_WAYS))
    if how == "whole":
        return draw(st.sampled_from((b"", b"\xef\xbb\xbf", b" \n"))) + body
    if how == "other":
        return draw(st.one_of(st.binary(max_size=60), _TEXTS, _VALUES.map(written)))
    if how == "bytes":
        return draw(_changed_bytes(body))
    tokens = list(_TOKEN.findall(body))
    values = [n for n, token in enumerate(tokens) if token not in b"[]{},:" and tokens[n + 1 : n + 2] != [b":"]]
    opened = [n for n, token in enumerate(tokens) if token == b"{"]
    for _ in range(draw(st.integers(1, 3))):
        if how == "tokens":
            tokens[draw(st.sampled_from(values))] = draw(_TEXTS | _AMOUNTS.map(str.encode) | _VALUES.map(written))
        else:
            # A key that may stand there already: the last one counts.
            put = b'"%s":%s,' % (draw(_FIELDS).encode(), draw(_TEXTS | _AMOUNTS.map(str.encode)))
            tokens[draw(st.sampled_from(opened))] += put
    if draw(st.integers(0, 3)) == 3:  # a field that is not there, or not as it is called
        at = draw(st.sampled_from([n for n, token in enumerate(tokens) if _KEYS.fullmatch(token)]))
        tokens[at] = b'"%s"' % draw(_FIELDS).encode()
    return b"".join(tokens)


@st.composite
def _changed_bytes(draw: st.DrawFn, body: bytes) -> bytes:
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, min(len(body), start + 40)))
    put = draw(st.one_of(st.just(b""), st.binary(max_size=8), st.just(body[start:end] * 2)))
    cut = draw(st.sampled_from((len(body), len(body), end)))
    return body[:start] + put + body[end:cut]
