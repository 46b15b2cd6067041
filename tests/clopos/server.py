"""A scripted HTTP server on loopback that shows the raw request and can break off in every way.

It knows HTTP only; what it answers is a function of the test. It shares no code with the client.
"""

import asyncio
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from types import TracebackType
from typing import Literal
from urllib.parse import parse_qsl, unquote

Fault = Literal["", "cut", "reset", "silent", "drip"]


@dataclass(frozen=True)
class Asked:
    """One request as it came: `target` is the raw request target, header names are lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        return unquote(self.target.partition("?")[0])

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.target.partition("?")[2]))


@dataclass(frozen=True)
class Reply:
    """What to answer. Faults: `cut` sends half of the body promised, `reset` closes hard, `silent` closes politely
    without a word, `drip` sends a byte now and then for ever."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    fault: Fault = ""
    delay: float = 0.0


def reply_json(value: object, status: int = 200, headers: dict[str, str] | None = None, delay: float = 0.0) -> Reply:
    """Decimals are written with the digits they have."""
    text = json.dumps(value, ensure_ascii=False, default=_write_decimal)
    text = text.replace('"\\u0000', "").replace('\\u0000"', "")
    return Reply(status=status, body=text.encode(), headers=headers or {}, delay=delay)


def _write_decimal(value: object) -> str:
    if isinstance(value, Decimal):
        return f"\x00{value}\x00"
    raise TypeError(f"no JSON for {type(value)}")


class Server:
    """Answers with `answer(asked)` from a thread of its own; `asked` holds every request in order of arrival."""

    def __init__(self, answer: Callable[[Asked], Reply], tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self._tls = tls
        self.asked: list[Asked] = []
        self.connections = 0
        self.failures: list[BaseException] = []
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}"

    def __enter__(self) -> "Server":
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        if error is None and self.failures:
            raise self.failures[0]

    def count(self, path: str) -> int:
        return sum(asked.path.endswith(path) for asked in self.asked)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            while await self._exchange(reader, writer, number):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        except Exception as error:
            self.failures.append(error)
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        pairs = (line.split(":", 1) for line in head[1:] if line)
        headers = {name.strip().lower(): value.strip() for name, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        asked = Asked(method, target, headers, body, number)
        self.asked.append(asked)
        reply = self.answer(asked)
        if reply.delay:
            await asyncio.sleep(reply.delay)
        return await self._send(writer, reply)

    async def _send(self, writer: asyncio.StreamWriter, reply: Reply) -> bool:
        if reply.fault == "silent":
            return False
        if reply.fault == "reset":
            # Without lingering the kernel sends a reset instead of an orderly end.
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
            return False
        lines = [f"HTTP/1.1 {reply.status} Scripted", f"Content-Type: {reply.content_type}"]
        lines.append(f"Content-Length: {len(reply.body)}")
        lines.extend(f"{name}: {value}" for name, value in reply.headers.items())
        writer.write("\r\n".join([*lines, "", ""]).encode())
        if reply.fault == "cut":
            writer.write(reply.body[: len(reply.body) // 2])
            await writer.drain()
            return False
        if reply.fault == "drip":
            for place in range(len(reply.body)):
                writer.write(reply.body[place : place + 1])
                await writer.drain()
                await asyncio.sleep(0.05)
            return True
        writer.write(reply.body)
        await writer.drain()
        return True
