"""Serving an application on loopback from a thread; `Sandbox`: world, API and address in one, for tests."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Literal, Self

import uvicorn
from starlette.types import ASGIApp

from clopos_assets.sandbox.api import ROOT, Hooks, make_app
from clopos_assets.sandbox.control import control_routes
from clopos_assets.sandbox.faults import Faults
from clopos_assets.sandbox.history import History
from clopos_assets.sandbox.limits import LimitOptions, Limits
from clopos_assets.sandbox.quirks import Quirks
from clopos_assets.sandbox.requests import RequestLog
from clopos_assets.sandbox.tokens import Tokens
from clopos_assets.sandbox.wire import WatchedProtocol
from clopos_assets.sandbox.world import World

HOST = "127.0.0.1"
ApiVersion = Literal["v1", "v2"]
_START_SECONDS = 10.0
_STOP_SECONDS = 10.0


def listen(port: int = 0) -> socket.socket:
    """A listening socket on loopback; port 0 takes a free one. `OSError` if the port is taken."""
    # asyncio switches Nagle's delay off only for sockets that name their protocol; without it, 40 ms an answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(256)
    except OSError:
        listener.close()
        raise
    return listener


def make_server(app: ASGIApp) -> uvicorn.Server:
    """A quiet server: no access log, no lifespan events, open connections cut a second after the stop."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        http=WatchedProtocol,
        loop="asyncio",
        # Longer than clients keep an idle connection, so that none is cut just as it is used again.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
        server_header=False,
    )
    return uvicorn.Server(config)


@contextmanager
def serve(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """Serves an app built by `make_app` in a thread; gives the API's root, for use as `CLOPOS_BASE_URL`.

    The root carries no version: clients add `/v2`. The server is down and its thread gone when the block is
    left.
    """
    listener = listen(port)
    server = make_server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="sandbox", daemon=True)
    thread.start()
    try:
        _wait_until_started(server, thread)
        yield f"http://{HOST}:{listener.getsockname()[1]}{ROOT}"
    finally:
        server.should_exit = True
        thread.join(_STOP_SECONDS)
        listener.close()


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the sandbox did not start; is its port free?")
        time.sleep(0.005)


class Sandbox:
    """A served world: a context manager whose `url` is the API's root.

    Built over a `World`, or over a `History`, which is then not advanced by itself: call `history.advance`.
    `requests` counts what was asked; `faults` has plans of what goes wrong, by name; `hooks.answer_instead` lets a
    test answer in the API's place; `tokens` can be expired or revoked.
    """

    def __init__(
        self,
        world: World | History,
        *,
        limits: LimitOptions | None = None,
        quirks: Quirks | None = None,
        clock: Callable[[], float] = time.monotonic,
        port: int = 0,
    ) -> None:
        self.history = world if isinstance(world, History) else None
        self.world = world.world if isinstance(world, History) else world
        self.credentials = self.world.credentials
        self.limits = Limits(limits, clock)
        self.tokens = Tokens()
        self.hooks = Hooks()
        self.faults = Faults(self.tokens)
        self.requests = RequestLog()
        self.app = make_app(
            self.world,
            self.limits,
            tokens=self.tokens,
            quirks=quirks,
            hooks=self.hooks,
            faults=self.faults,
            log=self.requests,
            more_routes=control_routes(self.world, self.history, self.faults) if self.history else None,
        )
        self._serving = serve(self.app, port)
        self._url: str | None = None

    @property
    def url(self) -> str:
        """The API's root without version; only while it is served."""
        if self._url is None:
            raise RuntimeError("the sandbox is not served; use it as a context manager")
        return self._url

    def settings(self, api_version: ApiVersion = "v2") -> dict[str, str]:
        """The environment a client needs to read this sandbox."""
        return client_settings(self.url, self.world, self.limits.options, api_version)

    def reset(self) -> None:
        """Forgets requests, limits and faults; the world and the tokens stay as they are."""
        self.requests.reset()
        self.limits.reset()
        self.faults.clear()
        self.hooks.before = self.hooks.answer_instead = None

    def __enter__(self) -> Self:
        self._url = self._serving.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._url = None
        self._serving.__exit__(kind, error, trace)


def client_settings(url: str, world: World, limits: LimitOptions, api_version: ApiVersion = "v2") -> dict[str, str]:
    """The environment variables under which a client finds this world at `url`, all its venues included."""
    credentials = world.credentials
    settings = {
        "CLOPOS_BASE_URL": url,
        "CLOPOS_CLIENT_ID": credentials.client_id,
        "CLOPOS_CLIENT_SECRET": credentials.client_secret,
        "CLOPOS_BRAND": credentials.brand,
        "CLOPOS_INTEGRATOR_ID": credentials.integrator_id,
        "CLOPOS_VENUE_IDS": "all",
        "CLOPOS_TIMEZONE": world.zone,
        "CLOPOS_REQUESTS_PER_WINDOW": str(limits.requests),
        "CLOPOS_WINDOW_SECONDS": f"{limits.window_seconds:g}",
    }
    if api_version == "v1":
        del settings["CLOPOS_INTEGRATOR_ID"]
        settings["CLOPOS_API_VERSION"] = "v1"
        settings["CLOPOS_VENUE_IDS"] = ",".join(map(str, world.venue_ids()))
        settings["CLOPOS_REQUESTS_PER_WINDOW"] = str(limits.requests_v1)
    return settings
