"""No secret and no token in a log record, a repr or an exception, whatever Clopos answers."""

import asyncio
import logging
import traceback
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.decode import encode_json
from clopos_assets.clopos.dialect import V2
from clopos_assets.clopos.errors import CloposError
from clopos_assets.clopos.reply import read_reply
from clopos_assets.clopos.shared_token import TokenState
from clopos_assets.clopos.token import Grant
from clopos_assets.clopos.wire import Answer, Request

from .brand import SECRET, TOKEN, Brand, connect
from .server import Asked, Reply, Server, reply_json

_DAY = date(2026, 1, 19)
_Answer = Callable[[Asked], Reply]


def _echo(asked: Asked) -> str:
    return f"you sent {asked.headers.get('x-token', '')} and {asked.body.decode()}, {SECRET}"


def _say(status: int, error: str = "nonsense") -> _Answer:
    return lambda asked: reply_json({"success": False, "error": error, "message": _echo(asked)}, status)


def _write(status: int, **more: Any) -> _Answer:
    return lambda asked: Reply(status, _echo(asked).encode(), **more)


def _at_receipts(answer: _Answer) -> Callable[[Asked], Reply | None]:
    return lambda asked: None if asked.path.endswith("/auth") else answer(asked)


def _at_auth(answer: _Answer) -> Callable[[Asked], Reply | None]:
    return lambda asked: answer(asked) if asked.path.endswith("/auth") else None


_CASES: dict[str, Callable[[Asked], Reply | None]] = {
    "wrong credentials": _at_auth(_say(401)),
    "auth says no with 200": _at_auth(_say(200)),
    "auth fails": _at_auth(_say(500)),
    "auth breaks": _at_auth(lambda asked: Reply(fault="reset")),
    "auth is no JSON": _at_auth(_write(200)),
    "auth names it as content": _at_auth(lambda asked: Reply(401, b"no", f"text/{SECRET}")),
    "auth without token": _at_auth(lambda asked: reply_json({"success": True, "token": f"{SECRET}\n"})),
    "bad parameter": _at_receipts(_say(400)),
    "bare": _at_receipts(lambda asked: reply_json({"error": "invalid_parameter", "message": _echo(asked)}, 400)),
    "list of errors": _at_receipts(lambda asked: reply_json({"success": 0, "error": [{"message": _echo(asked)}]}, 400)),
    "stale token": _at_receipts(_say(401, "Invalid token")),
    "forbidden": _at_receipts(_say(403)),
    "gateway": _at_receipts(_write(502, content_type="text/html")),
    "fails": _at_receipts(_say(500)),
    "undocumented": _at_receipts(lambda asked: reply_json({"message": _echo(asked)})),
    "no page": _at_receipts(lambda asked: reply_json({"success": True, "data": [], "total": _echo(asked)})),
    "cut": _at_receipts(_write(200, fault="cut")),
    "silent": _at_receipts(lambda asked: Reply(fault="silent")),
    "drip": _at_receipts(_write(200, fault="drip")),
    "redirect": _at_receipts(
        lambda asked: Reply(302, headers={"Location": f"https://u:{SECRET}@elsewhere.example/{TOKEN}1"})
    ),
}


def _chain(error: BaseException | None) -> list[BaseException]:
    links: list[BaseException] = []
    while error is not None:
        links.append(error)
        error = error.__cause__ or error.__context__
    return links


@pytest.mark.parametrize("case", _CASES)
def test_nothing_shows(case: str, caplog: pytest.LogCaptureFixture) -> None:
    said: list[str] = []
    with Server(Brand(intervene=_CASES[case]).answer) as server:

        async def run() -> None:
            clopos = connect(
                server, attempts=2, timeout_seconds=0.3, on_wait=lambda seconds, reason: said.append(reason)
            )
            async with clopos:
                try:
                    await clopos.list_receipts(created_from=_DAY, created_to=_DAY, venue_id=7, convert=list)
                finally:
                    said.extend(repr(value) for value in [clopos, *vars(clopos).values()])

        with caplog.at_level(logging.DEBUG), pytest.raises(CloposError) as caught:
            asyncio.run(run(), debug=False)
        assert server.asked
    said.extend(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    for link in _chain(caught.value):
        said.extend([str(link), repr(link), *traceback.format_exception(link)])
        said.append(repr(vars(link)))
    everything = "\n".join(said)
    assert "/v2/" in str(caught.value)
    assert SECRET not in everything
    assert TOKEN not in everything
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "spelled",
    [
        "s3cr3t%2Fof%2Bthe%20brand%3D%3D",
        "s3cr3t%2fof%2bthe%20brand%3d%3d",
        "s3cr3t%2Fof%2Bthe+brand%3D%3D",
        "s3cr3t/of%2Bthe%20brand%3D%3D",
        "s3cr3t\\/of+the brand==",
        "S3CR3T/OF+THE BRAND==",
        r"s3cr3t\/of\u002bthe\u0020brand==",
        "s3cr3t&#47;of&#x2B;the&#32;brand%3D=",
    ],
)
def test_nothing_shows_however_it_is_spelled(spelled: str) -> None:
    said = {"success": False, "error": "invalid", "message": f"odd: client_secret={spelled}&brand=x"}
    with Server(Brand(intervene=_at_auth(lambda asked: reply_json(said, 400))).answer) as server:

        async def run() -> None:
            async with connect(server, secret="s3cr3t/of+the brand==") as clopos:
                await clopos.list_venues()

        with pytest.raises(CloposError, match=r"odd: client_secret=\*\*\*&brand=x"):
            asyncio.run(run())


@pytest.mark.parametrize(
    ("secret", "spelled"),
    [
        ("a!b/c", "a!b%2Fc"),  # as browsers do
        ("a~b/c", "a%7Eb%2Fc"),  # as Java does
        ("əb/c", r"\u0259b\/c"),  # as PHP does
        ("😀b", r"\ud83d\ude00b"),
        ("a&b<c", "a&amp;b&lt;c"),
        ('a"b\\', r"a\"b\\"),
        ("a\ud800b", "a%ED%A0%80b"),
    ],
)
def test_odd_letters_are_cut_out_too(secret: str, spelled: str) -> None:
    body = encode_json({"success": False, "error": f"what is {spelled}?"}).encode()
    reply = read_reply(Answer(400, {}, body), secrets=[secret], dialect=V2)
    assert "what is ***?" in reply.verdict.text


def test_a_good_run_shows_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with Server(Brand([{"id": 1}]).answer) as server:

        async def run() -> None:
            async with connect(server) as clopos:
                await clopos.get_receipt(1, None)

        with caplog.at_level(logging.DEBUG):
            asyncio.run(run())
        assert server.asked[0].body.count(SECRET.encode()) == 1
    assert "authenticated for brand openapitest" in caplog.text
    assert SECRET not in caplog.text
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(
    "value",
    [
        Connection("https://x.example", "client", SECRET, "brand", "i"),
        Grant(TOKEN, 3600),
        TokenState(TOKEN),
        Request("POST", "/v2/auth", "POST /v2/auth", {"x-token": TOKEN}, SECRET.encode()),
        Answer(200, {}, TOKEN.encode()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_reprs(value: object) -> None:
    assert SECRET not in repr(value)
    assert TOKEN not in repr(value)
