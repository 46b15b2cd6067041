"""Answers that go wrong on the wire: no answer, half of one, one that trickles, a connection that breaks.

They are responses like others, and reach below HTTP: a server that `server.make_server` makes knows its connections
here. Which request gets one is the affair of `faults`.
"""

import asyncio
import socket
import struct
from contextlib import suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_PIECES = 100
# Longer than any client waits: what is left hanging ends by itself.
_LONGEST_STALL_SECONDS = 3600.0

_Addresses = tuple[tuple[str, int], tuple[str, int]]
_open: dict[_Addresses, asyncio.Transport] = {}


class WatchedProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, whose connections the answers of this module can take hold of."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # as asyncio's own loop makes them
        self._addresses = _addresses(transport.get_extra_info("peername"), transport.get_extra_info("sockname"))
        _open[self._addresses] = transport
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        _open.pop(self._addresses, None)
        super().connection_lost(exc)


def _addresses(client: tuple[str, int], server: tuple[str, int]) -> _Addresses:
    return (client[0], client[1]), (server[0], server[1])


def _connection_of(scope: Scope) -> asyncio.Transport:
    """The connection on which a request came. RuntimeError where no server of `make_server` serves it."""
    try:
        return _open[_addresses(scope["client"], scope["server"])]
    except KeyError:
        raise RuntimeError(
            "a fault on the wire needs a served sandbox: use `Sandbox`, `serve` or `run_sandbox`"
        ) from None


async def _wait_for_the_end(receive: Receive) -> None:
    """Until the client has gone, or for an hour."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LONGEST_STALL_SECONDS):
            while (await receive())["type"] != "http.disconnect":
                pass


class Stall(Response):
    """The connection stays open and nothing comes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = _connection_of(scope)
        # A server that stops cancels it, perhaps twice, and would complain of what is raised.
        with suppress(asyncio.CancelledError):
            await _wait_for_the_end(receive)
        connection.abort()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)  # until the server knows


class Closed(Response):
    """The connection is closed in good order, without a word."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _connection_of(scope).close()
        await _wait_for_the_end(receive)


class Reset(Response):
    """The connection is reset."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = _connection_of(scope)
        # Without lingering the system sends a reset in place of an orderly end.
        connection.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.abort()
        await _wait_for_the_end(receive)


class CutOff(Response):
    """Half of the body that was promised, and then the end of the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _send_head(self, send)
        await send({"type": "http.response.body", "body": self.body[: len(self.body) // 2], "more_body": True})
        _connection_of(scope).close()
        await _wait_for_the_end(receive)


class Drip(Response):
    """The whole body, in small pieces over so many `seconds`."""

    seconds = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = _connection_of(scope)
        await _send_head(self, send)
        body = bytes(self.body)
        size = max(1, -(-len(body) // _PIECES))
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        for piece in pieces:
            if connection.is_closing():
                return
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(self.seconds / len(pieces))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_head(response: Response, send: Send) -> None:
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
