"""One HTTP request, one HTTP answer: bytes, bounds and proxies. What an answer means is judged elsewhere."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from yarl import URL

from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.errors import CloposRefused


class NoAnswerError(Exception):
    """No whole answer came. The text is the cause, on one line, without address or headers; a repeat may help."""


@dataclass(frozen=True)
class Request:
    """`target` is path and query below the base URL; `name` stands for the request in messages.

    `max_bytes` bound its answer more tightly than the connection does.
    """

    method: str
    target: str
    name: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    max_bytes: int | None = None


@dataclass(frozen=True)
class Answer:
    """A whole answer, its body decompressed."""

    status: int
    headers: httpx.Headers
    body: bytes = field(repr=False)


class Wire:
    """Connections to one Clopos, in one event loop. Follows no redirect, keeps no cookie, repeats nothing."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._proxy = _find_proxy(connection)
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> "Wire":
        transport = AiohttpTransport(trust_env=True, proxy=self._proxy)
        # The transport would make its session without these: cookies, and brackets encoded in the query.
        transport.client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._connection.max_in_flight + 1, keepalive_timeout=5.0, ssl=transport.ssl_context
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_send_as_documented,),
        )
        self._client = httpx.AsyncClient(
            transport=transport,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            follow_redirects=False,
            trust_env=False,
            timeout=self._connection.timeout_seconds,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def send(self, request: Request) -> Answer:
        """Raises NoAnswerError where no whole answer comes in time, or one beyond all measure."""
        if self._client is None:
            raise RuntimeError("the connection to Clopos is not open: use `async with`")
        try:
            async with asyncio.timeout(self._connection.timeout_seconds):
                return await self._exchange(self._client, request)
        except TimeoutError:
            cause = f"no whole answer within {self._connection.timeout_seconds:g} s"
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:
            cause = _explain(error)
        # Raised here and not above: the caught exception holds the request and its headers.
        raise NoAnswerError(cause)

    async def _exchange(self, client: httpx.AsyncClient, request: Request) -> Answer:
        async with client.stream(
            request.method,
            f"{self._connection.root}{request.target}",
            headers=request.headers,
            content=request.body or None,
        ) as response:
            most = self._connection.max_body_bytes
            if request.max_bytes is not None:
                most = min(most, request.max_bytes)
            parts: list[bytes] = []
            size = 0
            async for part in response.aiter_bytes():
                size += len(part)
                if size > most:
                    # It comes from something in between, which may be gone at the next try.
                    raise NoAnswerError(f"the answer is larger than {most:,} bytes, which none of Clopos' is")
                parts.append(part)
            return Answer(response.status_code, response.headers, b"".join(parts))


async def _send_as_documented(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Bare brackets in the query, as in the vendor's examples, and no repeat that nobody counted."""
    encoded = str(request.url)
    request.url = URL(encoded.replace("%5B", "[").replace("%5D", "]"), encoded=True)
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        # Of these two aiohttp sends a GET again by itself, past the quota.
        raise aiohttp.ClientConnectionError("the connection broke") from error


def _find_proxy(connection: Connection) -> httpx.Proxy | None:
    """The proxy of the environment (HTTPS_PROXY, ALL_PROXY, NO_PROXY); none for this machine."""
    host = urlsplit(connection.base_url).hostname or ""
    if connection.is_local or proxy_bypass(host):
        return None
    proxies = getproxies()
    address = proxies.get("https") or proxies.get("all")
    if not address:
        return None
    # Nothing of the address is shown: it may hold a password.
    try:
        proxy = httpx.Proxy(address if "://" in address else f"http://{address}")
    except (ValueError, httpx.InvalidURL):
        raise CloposRefused("HTTPS_PROXY is not an address such as http://proxy.example:3128") from None
    if proxy.url.scheme not in ("http", "https"):
        raise CloposRefused("HTTPS_PROXY names a SOCKS proxy: only http and https proxies are supported")
    return proxy


def _explain(error: BaseException) -> str:
    """The cause of a broken exchange in few words; never the text of the exception, which may hold an address."""
    link: BaseException | None = error
    for _ in range(10):
        match link:
            case None:
                break
            case ssl.SSLCertVerificationError():
                return f"the certificate is not trusted: {link.verify_message}"
            case aiohttp.ServerDisconnectedError():
                return "the server closed the connection without an answer"
            case aiohttp.ClientPayloadError():
                return "the answer was cut off"
            case aiohttp.ClientProxyConnectionError():
                return "the proxy cannot be reached"
            case aiohttp.ClientHttpProxyError():
                return f"the proxy answered HTTP {link.status}"
            case aiohttp.ServerTimeoutError() | httpx.TimeoutException() if link.__cause__ is None:
                return "the server did not answer in time"
            case httpx.DecodingError():
                return "the answer could not be decompressed"
            case aiohttp.ClientConnectionError() if link.__cause__ is None and link.__context__ is None:
                return "the connection broke"
            case OSError(strerror=str(reason)) if not isinstance(link, aiohttp.ClientError):
                return reason
        link = link.__cause__ or link.__context__
    return f"the exchange failed ({type(error).__name__})"
