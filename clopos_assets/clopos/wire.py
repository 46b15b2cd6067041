"""One HTTP request, one HTTP answer: bytes, bounds and proxies. What an answer means is judged elsewhere."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError
from yarl import URL

from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.errors import CloposRefusedError


class NoAnswerError(Exception):
    """No whole answer came. The text is the cause, on one line, without address or headers; a repeat may help.

    `maybe_elsewhere` says that no connection came about, as where nobody is at the address.
    """

    def __init__(self, cause: str, *, maybe_elsewhere: bool = False) -> None:
        super().__init__(cause)
        self.maybe_elsewhere = maybe_elsewhere


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
    """A whole answer, its body decompressed; `headers` are found however their names are spelled."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Wire:
    """Connections to one Clopos, in one event loop. Follows no redirect, keeps no cookie, repeats nothing."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._proxy = _find_proxy(connection)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Wire":
        self._session = aiohttp.ClientSession(
            # Shorter than the 5 s after which common servers close an idle connection, perhaps just as it is used.
            connector=aiohttp.TCPConnector(limit=self._connection.max_in_flight + 1, keepalive_timeout=4.0),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_send_once,),
            timeout=aiohttp.ClientTimeout(),  # none: `send` bounds the whole exchange
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def send(self, request: Request) -> Answer:
        """Raises NoAnswerError where no whole answer comes in time, or one beyond all measure, and CloposRefusedError
        where nobody that this machine trusts is at the address.
        """
        if self._session is None:
            raise RuntimeError("the connection to Clopos is not open: use `async with`")
        failure: NoAnswerError | CloposRefusedError
        try:
            async with asyncio.timeout(self._connection.timeout_seconds):
                return await self._exchange(self._session, request)
        except TimeoutError:
            failure = NoAnswerError(f"no whole answer within {self._connection.timeout_seconds:g} s")
        except aiohttp.ClientConnectorCertificateError as error:
            failure = CloposRefusedError(f"{request.name}: {_distrust(error)}")
        except (aiohttp.ClientError, OSError) as error:
            failure = NoAnswerError(_explain(error), maybe_elsewhere=_is_unconnected(error))
        # Raised here and not above: the caught exception holds the request and its headers.
        raise failure

    async def _exchange(self, session: aiohttp.ClientSession, request: Request) -> Answer:
        async with session.request(
            request.method,
            # As it is written: the vendor's examples have bare brackets in the query.
            URL(f"{self._connection.root}{request.target}", encoded=True),
            headers=request.headers,
            data=request.body or None,
            allow_redirects=False,
            proxy=self._proxy,
        ) as response:
            most = self._connection.max_body_bytes
            if request.max_bytes is not None:
                most = min(most, request.max_bytes)
            parts: list[bytes] = []
            size = 0
            async for part in response.content.iter_any():
                size += len(part)
                if size > most:
                    # It comes from something in between, which may be gone at the next try.
                    raise NoAnswerError(f"the answer is larger than {most:,} bytes, which none of Clopos' is")
                parts.append(part)
            return Answer(response.status, response.headers, b"".join(parts))


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """No repeat that nobody counted."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        # Of these two aiohttp sends a GET again by itself, past the quota.
        raise aiohttp.ClientConnectionError("the connection broke") from error


def _find_proxy(connection: Connection) -> URL | None:
    """The proxy of the environment (HTTPS_PROXY, ALL_PROXY, NO_PROXY); none for this machine."""
    host = urlsplit(connection.base_url).hostname or ""
    if connection.is_local or proxy_bypass(host):
        return None
    proxies = getproxies()
    name = "HTTPS_PROXY" if proxies.get("https") else "ALL_PROXY"
    address = proxies.get("https") or proxies.get("all")
    if not address:
        return None
    advice = f"set HTTPS_PROXY to an address such as http://proxy.example:3128, or NO_PROXY to {host}"
    # Nothing of the address is shown: it may hold a password.
    try:
        proxy = URL(address if "://" in address else f"http://{address}")
        is_address = proxy.host is not None
    except ValueError:
        is_address = False
    if not is_address or proxy.scheme not in ("http", "https", "socks4", "socks5", "socks5h"):
        raise CloposRefusedError(f"{name} is not the address of a proxy: {advice}") from None
    if proxy.scheme not in ("http", "https"):
        raise CloposRefusedError(f"{name} names a SOCKS proxy, and only http and https ones are supported: {advice}")
    return proxy


def _is_unconnected(error: BaseException) -> bool:
    """Whether no connection to the API came about: no such host, nobody at the port."""
    return (
        isinstance(error, aiohttp.ClientConnectorError)
        and not isinstance(error, aiohttp.ClientProxyConnectionError)
        and not isinstance(error.__cause__, ConnectionResetError | TimeoutError)  # there is somebody, or may be
    )


def _distrust(error: aiohttp.ClientConnectorCertificateError) -> str:
    cause = error.certificate_error
    reason = cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else type(cause).__name__
    return (
        f"the server's certificate is not trusted ({reason.rstrip('.')}): check CLOPOS_BASE_URL, or let this machine "
        "trust who signed it (SSL_CERT_FILE)"
    )


def _explain(error: BaseException) -> str:
    """The cause of a broken exchange in few words; never the text of the exception, which may hold an address."""
    link: BaseException | None = error
    for _ in range(10):
        match link:
            case None:
                break
            case aiohttp.ServerDisconnectedError():
                return "the server closed the connection without an answer"
            case ContentEncodingError():
                return "the answer could not be decompressed"
            case aiohttp.ClientPayloadError() if not isinstance(link.__cause__, ContentEncodingError):
                return "the answer was cut off"
            case aiohttp.ClientProxyConnectionError():
                return "the proxy cannot be reached"
            case aiohttp.ClientHttpProxyError():
                return f"the proxy answered HTTP {link.status}"
            case aiohttp.ClientResponseError() if not isinstance(link.__cause__, ContentEncodingError):
                return "the answer is not HTTP that can be read"
            case aiohttp.ClientConnectionError() if link.__cause__ is None and link.__context__ is None:
                return "the connection broke"
            case OSError(strerror=str(reason)) if not isinstance(link, aiohttp.ClientError):
                return reason
        link = link.__cause__ or link.__context__
    return f"the exchange failed ({type(error).__name__})"
