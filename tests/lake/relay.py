"""Servers in front of the S3 server: one that stops in the middle of an upload, one that refuses everything."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from clopos_assets.sandbox import serve


class Relay:
    """Passes bytes on to a server, but of an upload through one connection no more than `most`."""

    def __init__(self, target: str, most: int) -> None:
        parts = urlsplit(target)
        assert parts.hostname is not None
        assert parts.port is not None
        self._target = parts.hostname, parts.port
        self._most = most
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listener]
        self._threads: list[threading.Thread] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.is_stuck = threading.Event()
        self._begin(self._accept)

    def close(self) -> None:
        """Drop every connection."""
        for each in self._sockets:
            with suppress(OSError):  # it may have been dropped by the other end
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join()

    def _begin(self, act: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=act, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._sockets += [client, server]
                self._begin(self._pass_on, client, server, self._most)
                self._begin(self._pass_on, server, client, None)

    def _pass_on(self, source: socket.socket, sink: socket.socket, most: int | None) -> None:
        passed = 0
        with suppress(OSError):
            while body := source.recv(16384):
                passed += len(body)
                if most is not None and passed > most:
                    self.is_stuck.set()
                    continue  # read, and not passed on
                sink.sendall(body)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def relay(target: str, most: int) -> Iterator[Relay]:
    """A relay while the block lasts."""
    opened = Relay(target, most)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def refusing_server(status: int, code: str, words: str) -> Iterator[str]:
    """The address of an S3 server that answers everything with one error, which says something it should not."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{words}</Message></Error>"

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        await Response(body, status, media_type="application/xml")(scope, receive, send)

    with serve(refuse) as url:
        yield url.removesuffix(urlsplit(url).path)
