"""Serving, the control door, the clock of a running sandbox, and what it tells a person to export."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from datetime import date, datetime, timedelta

import pytest

from clopos_assets.sandbox import (
    Credentials,
    History,
    HistoryOptions,
    LimitOptions,
    Sandbox,
    World,
    make_app,
    sandbox_settings,
    serve,
)
from clopos_assets.sandbox.run import LiveHistory

from .asking import Asker

OPTIONS = HistoryOptions(start_date=date(2026, 1, 1), receipts_per_day=10, venues=1)
NOON = datetime.fromisoformat("2026-01-03 12:00:00")


def test_serve_gives_the_root_and_frees_the_port(vendor_world: World) -> None:
    before = set(threading.enumerate())
    with serve(make_app(vendor_world)) as url:
        assert url.startswith("http://127.0.0.1:")
        assert url.endswith("/open-api")
        port = int(url.split(":")[2].split("/")[0])
        assert len(set(threading.enumerate()) - before) == 1
    assert set(threading.enumerate()) == before
    with serve(make_app(vendor_world), port) as again:
        assert again == url


def test_a_taken_port_is_an_error(vendor_world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"), serve(make_app(vendor_world), port):
            pass


def test_a_sandbox_has_its_address_only_while_served(vendor_world: World) -> None:
    sandbox = Sandbox(vendor_world)
    with sandbox:
        assert sandbox.settings()["CLOPOS_BASE_URL"] == sandbox.url
    with pytest.raises(RuntimeError, match="context manager"):
        _ = sandbox.url


def test_the_control_door_advances_the_clock() -> None:
    history = History(OPTIONS)
    history.advance(NOON)
    with Sandbox(history) as sandbox, Asker(sandbox) as asker:
        before = asker.send("GET", "/sandbox/state", {}).json
        assert before["now"] == "2026-01-03 12:00:00"
        assert before["zone"] == "Asia/Baku"
        assert before["receipts"] == len(history.world.receipt_ids())
        after = asker.send("POST", "/sandbox/advance", {}, json.dumps({"hours": 1.5})).json
        assert after["now"] == "2026-01-03 13:30:00"
        later = asker.send("POST", "/sandbox/advance", {}, json.dumps({"to": "2026-01-04 06:00:00"})).json
        assert later["now"] == "2026-01-04 06:00:00"
        assert later["receipts"] > before["receipts"]
        assert asker.get("/v2/receipts").json["total"] == later["receipts"]
        assert sandbox.requests.counts() == {("POST", "/v2/auth"): 1, ("GET", "/v2/receipts"): 1}


@pytest.mark.parametrize(
    "body",
    [
        "", "[]", "{}", '{"hours": "1"}', '{"hours": -1}', '{"hours": 1e300}', '{"hours": 100000}', '{"to": "soon"}',
        '{"to": 5}', '{"to": "2026-01-01 00:00:00"}', '{"to": "2026-01-05T00:00:00+04:00"}',
    ],
)  # fmt: skip
def test_the_control_door_refuses_what_it_cannot_do(body: str) -> None:
    history = History(OPTIONS)
    history.advance(NOON)
    with Sandbox(history) as sandbox, Asker(sandbox) as asker:
        answer = asker.send("POST", "/sandbox/advance", {}, body)
        assert answer.status == 400
        assert answer.json["error"]
        assert history.world.now == NOON


def test_a_world_without_history_has_no_control_door(asker: Asker) -> None:
    assert asker.send("GET", "/sandbox/state", {}).status == 404


def test_a_following_clock_plays_what_happened_and_keeps_its_lead() -> None:
    real = NOON
    live = LiveHistory(History(OPTIONS), lambda: real)
    live.catch_up()
    assert live.history.world.now == NOON
    real = NOON + timedelta(hours=2)
    live.catch_up()
    assert live.history.world.now == real
    live.advance(real + timedelta(days=1))
    real += timedelta(minutes=5)
    live.catch_up()
    assert live.history.world.now == real + timedelta(days=1)
    real -= timedelta(hours=1)
    live.catch_up()
    assert live.history.world.now == real + timedelta(days=1, hours=1)


def test_a_frozen_clock_stands_still() -> None:
    live = LiveHistory(History(OPTIONS), None)
    live.advance(NOON)
    live.catch_up()
    assert live.history.world.now == NOON


def test_settings_are_the_same_for_every_start() -> None:
    known = Credentials()
    assert sandbox_settings(OPTIONS, 8123) == {
        "CLOPOS_BASE_URL": "http://127.0.0.1:8123/open-api",
        "CLOPOS_CLIENT_ID": known.client_id,
        "CLOPOS_CLIENT_SECRET": known.client_secret,
        "CLOPOS_BRAND": known.brand,
        "CLOPOS_INTEGRATOR_ID": known.integrator_id,
        "CLOPOS_VENUE_IDS": "all",
        "CLOPOS_TIMEZONE": "Asia/Baku",
        "CLOPOS_REQUESTS_PER_WINDOW": "300",
        "CLOPOS_WINDOW_SECONDS": "60",
        "CLOPOS_START_DATE": "2026-01-01",
    }


PROGRAM = """
import json, sys
from datetime import date, datetime
from clopos_assets.sandbox import HistoryOptions, run_sandbox
def ready(settings):
    print(json.dumps(settings), flush=True)
run_sandbox(
    HistoryOptions(start_date=date(2026, 1, 1), receipts_per_day=10),
    port=0, now=datetime.fromisoformat("2026-01-03 12:00:00"), on_ready=ready,
)
"""


def test_run_serves_until_interrupted() -> None:
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            settings = json.loads(process.stdout.readline())
            world = History(OPTIONS).world
            with Asker(_Elsewhere(world, settings["CLOPOS_BASE_URL"])) as asker:
                state = asker.send("GET", "/sandbox/state", {}).json
                assert state["now"] == "2026-01-03 12:00:00"
                assert asker.get("/v2/receipts").json["total"] > 0
        finally:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")


class _Elsewhere(Sandbox):
    """The address of a sandbox in another process, with the credentials that all of them share."""

    def __init__(self, world: World, url: str) -> None:
        super().__init__(world, limits=LimitOptions.unlimited())
        self._url = url
