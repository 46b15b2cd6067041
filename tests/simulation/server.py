"""One served address for many worlds, one after the other: starting a server takes longer than a history."""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from clopos_assets.sandbox import serve


class Server:
    """What stands behind the address now; `url` is the API's root while it is served."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None
        self.url = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)


@contextmanager
def serving() -> Iterator[Server]:
    """A server for as long as this lasts."""
    server = Server()
    with serve(server) as server.url:
        yield server
