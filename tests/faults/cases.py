"""Cases of the decoder's fuzz: one answer of Clopos, broken at random or with a nasty value in each place in turn."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from multidict import CIMultiDict

from clopos_assets.tables.privacy import Handling
from tests.faults.answers import NASTY, broken, operation, receipt, written

_ROUTES = ("list",) * 6 + ("operations",) * 5 + ("receipt",) * 2 + ("venues", "auth")
_HANDLINGS: tuple[Handling, ...] = ("keep", "keep", "hash", "drop")
_MADE_OF = 10
"""One in so many answers goes through the making of a whole shift date; of tokens and venues all do."""


@dataclass(frozen=True)
class Case:
    """One answer of Clopos, broken; all others are in order."""

    version: str
    route: str
    body: bytes
    status: int
    headers: Mapping[str, str]
    handling: Handling
    is_made: bool = False
    """Whether a whole shift date is made of it, and not its rows alone."""

    @property
    def sent_headers(self) -> CIMultiDict[str]:
        """The headers, whose names know no case."""
        return CIMultiDict(self.headers)


def valid(version: str, route: str, asked: int = 1) -> bytes:
    """What Clopos says when nothing is wrong. Receipt 2 stands in the lake and in no list: it is asked for by id."""
    held = {"stock_operations": [operation(asked)]} if version == "v1" else {}
    match route:
        case "auth":
            return written({"success": True, "token": "token", "expires_in": 3600})
        case "venues":
            return written({"success": True, "data": [{"id": 1, "name": "Filial"}], "total": 1})
        case "list":
            return written({"success": True, "total": 1, "data": [receipt(1) | held]})
        case "receipt":
            return written({"success": True, "data": receipt(asked) | held})
        case _:
            return written({"success": True, "data": [operation(asked)], "total": 1})


def _headers(draw: st.DrawFn) -> dict[str, str]:
    names = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Content-Type", "Location", "Retry-After")
    values = st.sampled_from(("0", "1", "-1", "300", "1e999", "nan", "x", "", "1.5", "9" * 400, "http://[", "\x80ÿ"))
    return draw(st.dictionaries(st.sampled_from(names), values, max_size=2))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any of Clopos' answers, broken in any way."""
    version = draw(st.sampled_from(("v2", "v2", "v1")))
    routes = _ROUTES if version == "v2" else [route for route in _ROUTES if route not in ("venues", "operations")]
    route = draw(st.sampled_from(routes))
    status = draw(st.sampled_from((200,) * 60 + (201, 302, 400, 401, 403, 404, 422, 429, 500, 503)))
    headers = _headers(draw) if draw(st.integers(0, 7)) == 7 else {}
    body = draw(broken(valid(version, route)))
    handling: Handling = draw(st.sampled_from(_HANDLINGS))
    is_made = route in ("venues", "auth") or zlib.crc32(body) % _MADE_OF == 0
    return Case(version, route, body, status, headers, handling, is_made)


def every_nasty_place() -> list[Case]:
    """Each nasty text in the place of each value of a valid answer: nothing of this is left to chance."""
    found = []
    for version, route in (("v2", "list"), ("v2", "operations"), ("v1", "list")):
        value = json.loads(valid(version, route), parse_float=Decimal)
        for body in _replacements(value):
            found += [Case(version, route, body.replace(b'"@here@"', text), 200, {}, "keep") for text in NASTY]
    return found


def _replacements(value: Any) -> list[bytes]:
    """The value as text, each time with another of its parts named `@here@`."""
    places: list[tuple[Any, Any]] = []

    def walk(inner: Any) -> None:
        entries = inner.items() if isinstance(inner, dict) else enumerate(inner) if isinstance(inner, list) else ()
        for key, part in entries:
            places.append((inner, key))
            walk(part)

    walk(value)
    texts = []
    for holder, key in places:
        before, holder[key] = holder[key], "@here@"
        texts.append(written(value))
        holder[key] = before
    return texts
