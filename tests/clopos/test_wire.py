"""What goes over the wire and what comes back, in every way that can break."""

import asyncio
import gzip
import socket
import struct
import threading
from collections.abc import Callable

import pytest
from yarl import URL

from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.errors import CloposRefusedError
from clopos_assets.clopos.wire import Answer, NoAnswerError, Request, Wire, _find_proxy

from .brand import SECRET
from .server import Asked, Reply, Server


def _connection(url: str, timeout_seconds: float = 5.0) -> Connection:
    return Connection(url, "client", SECRET, "brand", "i", timeout_seconds=timeout_seconds, max_body_bytes=10_000)


def _get(target: str) -> Request:
    return Request("GET", target, "GET /x", {"x-token": "bare"})


def _send(server: Server, *targets: str, timeout_seconds: float = 5.0) -> list[Answer]:
    async def run() -> list[Answer]:
        async with Wire(_connection(f"{server.url}/open-api/", timeout_seconds)) as wire:
            return [await wire.send(_get(target)) for target in targets]

    return asyncio.run(run())


def _fail(reply: Reply, timeout_seconds: float = 5.0) -> tuple[str, int]:
    """The cause, and how many requests came before it. Somebody was there."""
    with Server(lambda asked: reply) as server:
        with pytest.raises(NoAnswerError) as caught:
            _send(server, "/x", timeout_seconds=timeout_seconds)
        assert not caught.value.maybe_elsewhere
        return str(caught.value), len(server.asked)


def test_brackets_go_bare_and_headers_are_few() -> None:
    target = "/v2/receipts?page=1&sort[0]=id&sort[1]=1&with[0]=receipt_products.modificators"
    with Server(lambda asked: Reply(body=b"{}")) as server:
        _send(server, target)
        asked = server.asked[0]
    assert asked.target == f"/open-api{target}"
    assert asked.headers["x-token"] == "bare"
    assert not {"authorization", "cookie"} & asked.headers.keys()


def test_connections_are_kept_and_cookies_are_not() -> None:
    async def run(url: str) -> None:
        async with Wire(_connection(url)) as wire:
            for target in ("/1", "/2", "/3"):
                await wire.send(_get(target))

    with Server(lambda asked: Reply(body=b"{}", headers={"Set-Cookie": "a=b; Path=/"})) as server:
        asyncio.run(run(f"http://localhost:{server.port}"))  # of a bare IP address, aiohttp keeps no cookie anyway
        assert [asked.connection for asked in server.asked] == [1, 1, 1]
        assert not any("cookie" in asked.headers for asked in server.asked)


def test_compressed_answers_are_read() -> None:
    body = gzip.compress(b'{"success": true}')
    with Server(lambda asked: Reply(body=body, headers={"Content-Encoding": "gzip"})) as server:
        assert _send(server, "/x")[0].body == b'{"success": true}'


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (Reply(body=b"0123456789", fault="cut"), "the answer was cut off"),
        (Reply(fault="silent"), "the server closed the connection without an answer"),
        (Reply(fault="reset"), "Connection reset by peer"),
        (Reply(body=b"not gzip", headers={"Content-Encoding": "gzip"}), "the answer could not be decompressed"),
        (Reply(body=b"{}", headers={"X-Long": "x" * 10_000}), "the answer is not HTTP that can be read"),
        (Reply(body=b"{}", headers={"No name": "x"}), "the answer is not HTTP that can be read"),
    ],
    ids=["cut", "silent", "reset", "not gzip", "long header", "bad header"],
)
def test_broken_exchanges(reply: Reply, cause: str) -> None:
    assert _fail(reply) == (cause, 1)


def test_slow_drips_end() -> None:
    cause, _ = _fail(Reply(body=b"x" * 1000, fault="drip"), timeout_seconds=0.3)
    assert cause == "no whole answer within 0.3 s"


def test_silence_ends() -> None:
    cause, _ = _fail(Reply(body=b"{}", delay=30), timeout_seconds=0.3)
    assert cause == "no whole answer within 0.3 s"


def test_a_kept_connection_that_breaks_is_not_asked_twice_in_secret() -> None:
    def answer(asked: Asked) -> Reply:
        return Reply(body=b"{}") if asked.target.endswith("/1") else Reply(fault="silent")

    with Server(answer) as server:
        with pytest.raises(NoAnswerError, match="without an answer"):
            _send(server, "/1", "/2")
        assert [asked.target for asked in server.asked] == ["/open-api/1", "/open-api/2"]


def test_nobody_listens() -> None:
    with Server(lambda asked: Reply()) as server:
        url = server.url

    async def run() -> None:
        async with Wire(_connection(url)) as wire:
            await wire.send(_get("/x"))

    with pytest.raises(NoAnswerError, match=r"Connect call failed|Connection refused") as caught:
        asyncio.run(run())
    assert caught.value.maybe_elsewhere


def _fail_elsewhere(url: str) -> NoAnswerError:
    async def run() -> None:
        async with Wire(_connection(url)) as wire:
            await wire.send(_get("/x"))

    with pytest.raises(NoAnswerError) as caught:
        asyncio.run(run())
    return caught.value


def test_no_such_host(environment: pytest.MonkeyPatch) -> None:
    def find_nothing(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    environment.setattr(socket, "getaddrinfo", find_nothing)
    failure = _fail_elsewhere("https://clopos.example")
    assert (str(failure), failure.maybe_elsewhere) == ("Name or service not known", True)


def _answer_plainly(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def _reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(("meet", "maybe_elsewhere"), [(_answer_plainly, True), (_reset, False)])
def test_a_port_that_does_not_speak_tls(meet: Callable[[socket.socket], None], maybe_elsewhere: bool) -> None:
    """It speaks something else, or it is too busy for it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            client, _ = listening.accept()
            with client:
                client.recv(10_000)
                meet(client)

        thread = threading.Thread(target=serve)
        thread.start()
        failure = _fail_elsewhere(f"https://127.0.0.1:{listening.getsockname()[1]}")
        thread.join(10)
    assert failure.maybe_elsewhere == maybe_elsewhere


def test_a_proxy_that_is_not_there_says_nothing_of_the_address(environment: pytest.MonkeyPatch) -> None:
    with Server(lambda asked: Reply()) as proxy:
        url = proxy.url
    environment.setenv("HTTPS_PROXY", url)
    failure = _fail_elsewhere("https://api.example")
    assert (str(failure), failure.maybe_elsewhere) == ("the proxy cannot be reached", False)


def test_endless_answers_are_refused() -> None:
    body = gzip.compress(b" " * 20_000)
    with (
        Server(lambda asked: Reply(body=body, headers={"Content-Encoding": "gzip"})) as server,
        pytest.raises(NoAnswerError, match="the answer is larger than 10,000 bytes"),
    ):
        _send(server, "/x")


def test_an_answer_that_comes_in_many_parts_is_bounded_as_a_whole() -> None:
    async def run(url: str) -> None:
        async with Wire(Connection(url, "client", SECRET, "brand", "i", max_body_bytes=2_000_000)) as wire:
            await wire.send(_get("/x"))

    with (
        Server(lambda asked: Reply(body=b" " * 5_000_000)) as server,
        pytest.raises(NoAnswerError, match="the answer is larger than 2,000,000 bytes"),
    ):
        asyncio.run(run(server.url))


def test_a_closed_wire_says_so() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        asyncio.run(Wire(_connection("http://127.0.0.1:9")).send(_get("/x")))


@pytest.mark.parametrize(
    "url",
    [
        "https://integrations.clopos.com/open-api",
        "http://localhost:8000/open-api",
        "http://127.0.0.9/",
        "http://[::1]:1",
    ],
)
def test_addresses(url: str) -> None:
    assert _connection(url).root == url.rstrip("/")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://integrations.clopos.com/open-api", "unencrypted: use https"),
        ("http://localhost.example.com", "unencrypted"),
        ("ftp://127.0.0.1", "not an http address"),
        ("integrations.clopos.com", "not an http address"),
        ("https://", "not an http address"),
        ("https://[::1", "not an address"),
        ("https://x:99999999", "not an address"),
        (f"https://user:{SECRET}@integrations.clopos.com", "holds a user"),
        ("https://integrations.clopos.com?x=1", "a query"),
        ("https://integrations.clopos.com/open api", "blanks"),
        ("https://integrations.clopos.com/open-api/v2/", "ends with a version"),
    ],
)
def test_addresses_that_are_refused(url: str, message: str) -> None:
    with pytest.raises(CloposRefusedError, match=message) as caught:
        _connection(url)
    assert "CLOPOS_BASE_URL" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.fixture(name="environment")
def _environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("settings", "url", "proxy"),
    [
        ({"HTTPS_PROXY": "http://u:p@proxy.example:3128"}, "https://api.example", "http://proxy.example:3128"),
        ({"HTTPS_PROXY": "proxy.example:3128"}, "https://api.example", "http://proxy.example:3128"),
        ({"ALL_PROXY": "http://proxy.example:3128"}, "https://api.example", "http://proxy.example:3128"),
        ({"HTTP_PROXY": "http://proxy.example:3128"}, "https://api.example", None),
        ({"HTTPS_PROXY": "http://proxy.example:1", "NO_PROXY": "api.example"}, "https://api.example", None),
        ({"HTTP_PROXY": "http://proxy.example:1"}, "http://127.0.0.1:5", None),
        ({"ALL_PROXY": "http://proxy.example:1"}, "https://localhost:5", None),
        ({}, "https://api.example", None),
    ],
)
def test_the_proxy_of_the_environment(
    environment: pytest.MonkeyPatch, settings: dict[str, str], url: str, proxy: str | None
) -> None:
    for name, value in settings.items():
        environment.setenv(name, value)
    found = _find_proxy(_connection(url))
    assert (found and found.with_user(None)) == (proxy and URL(proxy))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (f"socks5://u:{SECRET}@p:1", "SOCKS"),
        ("http://", "HTTPS_PROXY is not the address of a proxy"),
        (f"http://u:{SECRET}@[::1", "HTTPS_PROXY is not the address of a proxy"),
        (f"gopher://u:{SECRET}@p", "HTTPS_PROXY is not the address of a proxy: .*, or NO_PROXY to api.example"),
    ],
)
def test_proxies_that_are_refused(environment: pytest.MonkeyPatch, address: str, message: str) -> None:
    environment.setenv("HTTPS_PROXY", address)
    with pytest.raises(CloposRefusedError, match=message) as caught:
        Wire(_connection("https://api.example"))
    assert SECRET not in str(caught.value)


def test_requests_to_this_machine_pass_by_the_proxy(environment: pytest.MonkeyPatch) -> None:
    with Server(lambda asked: Reply(599)) as proxy, Server(lambda asked: Reply(body=b"{}")) as server:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            environment.setenv(name, proxy.url)
        assert _send(server, "/x")[0].status == 200
        assert proxy.asked == []


def test_requests_elsewhere_go_to_the_proxy(environment: pytest.MonkeyPatch) -> None:
    with Server(lambda asked: Reply(407)) as proxy:
        environment.setenv("HTTPS_PROXY", proxy.url)

        async def run() -> None:
            async with Wire(_connection("https://api.example")) as wire:
                await wire.send(_get("/x"))

        with pytest.raises(NoAnswerError, match="the proxy answered HTTP 407"):
            asyncio.run(run())
        assert [(asked.method, asked.target) for asked in proxy.asked] == [("CONNECT", "api.example:443")]
        assert "x-token" not in proxy.asked[0].headers
