"""A sandbox for a person: a restaurant that trades while it is looked at, served until it is interrupted."""

import contextlib
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from clopos_assets.sandbox.api import ROOT, Hooks, make_app
from clopos_assets.sandbox.control import control_routes
from clopos_assets.sandbox.day import HistoryOptions
from clopos_assets.sandbox.faults import Faults
from clopos_assets.sandbox.history import History
from clopos_assets.sandbox.limits import LimitOptions, Limits
from clopos_assets.sandbox.server import HOST, ApiVersion, client_settings, listen, make_server
from clopos_assets.sandbox.tokens import Tokens

DEFAULT_PORT = 8810


class LiveHistory:
    """A history whose clock follows a real one, or stands still, and can be moved ahead by hand.

    `real_now` gives the present in the history's zone, without zone; None freezes the clock where it was
    left. Moved ahead by hand, a following clock keeps its lead.
    """

    def __init__(self, history: History, real_now: Callable[[], datetime] | None) -> None:
        self.history = history
        self._real_now = real_now
        self._lead = timedelta(0)
        self._lock = threading.Lock()

    def catch_up(self) -> None:
        """Plays what has happened by now; does nothing while the clock stands still."""
        if self._real_now is None:
            return
        with self._lock:
            now = self._real_now() + self._lead
            # A real clock that was set back makes the restaurant wait, not fail.
            if now > self.history.world.now:
                self.history.advance(now)

    def advance(self, to: datetime) -> None:
        """Moves the clock to a later local time, inclusive; an earlier one raises `ValueError`."""
        with self._lock:
            self.history.advance(to)
            if self._real_now is not None:
                self._lead = max(self._lead, to - self._real_now())


def sandbox_settings(
    options: HistoryOptions,
    port: int = DEFAULT_PORT,
    limits: LimitOptions | None = None,
    api_version: ApiVersion = "v2",
) -> dict[str, str]:
    """The environment variables to export for a sandbox started by `run_sandbox` with these arguments.

    The same for every start: credentials, venues and tokens do not change.
    """
    settings = client_settings(
        f"http://{HOST}:{port}{ROOT}", History(options).world, limits or LimitOptions(), api_version
    )
    return {**settings, "CLOPOS_START_DATE": options.start_date.isoformat()}


def run_sandbox(
    options: HistoryOptions,
    port: int = DEFAULT_PORT,
    *,
    now: datetime | None = None,
    limits: LimitOptions | None = None,
    api_version: ApiVersion = "v2",
    on_ready: Callable[[dict[str, str]], None] | None = None,
) -> None:
    """Serves a history on 127.0.0.1 until interrupted (SIGINT or SIGTERM).

    Without `now` the restaurant's clock is the real one in `options.zone`; with it, local time without zone,
    the clock stands there and is moved by `POST /sandbox/advance` alone. Port 0 takes a free one; a taken
    port raises `OSError`. `on_ready` is called once, with the variables to export, when the port is taken and
    the past has been played; they are for `api_version`, and both versions are served.
    """
    zone = ZoneInfo(options.zone)
    history = History(options)
    limits = limits or LimitOptions()
    live = LiveHistory(
        history, None if now is not None else lambda: datetime.now(zone).replace(tzinfo=None, microsecond=0)
    )
    with listen(port) as listener:
        if now is None:
            live.catch_up()
        else:
            live.advance(now)
        tokens = Tokens()
        faults = Faults(tokens)
        app = make_app(
            history.world,
            Limits(limits),
            tokens=tokens,
            hooks=Hooks(before=live.catch_up),
            faults=faults,
            more_routes=control_routes(history.world, live, faults, live.catch_up),
        )
        if on_ready is not None:
            on_ready(sandbox_settings(options, listener.getsockname()[1], limits, api_version))
        # The server stops in good order first and raises the interrupt again afterwards.
        with contextlib.suppress(KeyboardInterrupt):
            make_server(app).run(sockets=[listener])
