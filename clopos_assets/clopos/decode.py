"""JSON in and out without losing a digit. Nothing here knows receipts."""

import re
from decimal import Decimal, DecimalException

import msgspec

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_DEEPEST = 100
_ENCODER = msgspec.json.Encoder(decimal_format="number", order="sorted")
# Escapes one by one, so that an escaped backslash before a `u` is none; a pair of surrogates is one of them.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|u(?P<half>[dD][89a-fA-F][\da-fA-F]{2})|.)", re.DOTALL
)
_REPLACEMENT = rb"\ufffd"


def decode_json(body: bytes) -> object:
    """The value that the text says: whole numbers as `int`, others as `Decimal` of the digits on the wire.

    Half an emoji, as a till leaves it that cuts a text to length, is JSON and no text: it becomes U+FFFD.

    Raises ValueError, and nothing else, for text that is malformed, cut off, nested more than 100 deep, or that holds
    a number beyond what Python can keep exactly (an exponent of 19 digits, a whole number of 4,300).
    """
    try:
        value = _decode(body)
    except RecursionError:
        reason = "nested too deeply"
    except DecimalException:
        reason = "a number is out of range"
    except ValueError as error:
        reason = str(error)
    else:
        # What opens no more often than that can't be as deep, and mostly that is all there is to look at.
        if body.count(b"{") + body.count(b"[") <= _DEEPEST or not _is_nested_beyond(_DEEPEST, value):
            return value
        reason = "nested too deeply"
    raise ValueError(f"not JSON: {reason}")


def _decode(body: bytes) -> object:
    try:
        return _DECODER.decode(body)
    except msgspec.DecodeError:
        mended = _ESCAPE.sub(lambda found: found[0] if found["half"] is None else _REPLACEMENT, body)
        if mended == body:
            raise
    return _DECODER.decode(mended)


def _is_nested_beyond(depth: int, value: object) -> bool:
    """Whether a value is nested deeper: to encode it, or to show it in a message, would exhaust Python's stack."""
    level = [value]
    for _ in range(depth):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer if type(outer) is list else ())
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return False
    return True


def encode_json(value: object) -> str:
    """Canonical text of a decoded value: keys sorted, no spaces, non-ASCII kept, every number digit by digit.

    `1.0` and `1` are different texts. Takes what `decode_json` gives; NaN and the infinities are not among it.
    """
    return _ENCODER.encode(value).decode()
