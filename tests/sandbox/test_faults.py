"""Faults by name, as a client meets them on the wire; plans of which requests meet them; the control door."""

import gzip
import http.client
import json
import socket
import zlib
from collections import Counter
from contextlib import suppress
from datetime import date, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from clopos_assets.sandbox import Fault, History, HistoryOptions, LimitOptions, Sandbox, World

from .asking import Answer, Asker

LIST = "/v2/receipts"


@pytest.fixture
def history() -> History:
    history = History(HistoryOptions(start_date=date(2026, 1, 1), receipts_per_day=5, venues=1))
    history.advance(datetime(2026, 1, 3, 12))
    return history


def ask(asker: Asker, fault: Fault, path: str = LIST, seconds: float | None = None) -> Answer:
    """The first answer once the fault is planned."""
    assert asker.token
    asker.sandbox.faults.plan(fault, times=1, seconds=seconds)
    return asker.get(path)


@pytest.mark.parametrize(
    ("fault", "status", "kind", "is_json"),
    [
        (Fault.SERVER_ERROR, 500, "application/json", True),
        (Fault.BAD_GATEWAY, 502, "text/html; charset=utf-8", False),
        (Fault.UNAVAILABLE, 503, "", False),
        (Fault.GATEWAY_TIMEOUT, 504, "application/json", True),
        (Fault.HTML, 200, "text/html; charset=utf-8", False),
        (Fault.EMPTY, 200, "application/json", False),
    ],
)
def test_gateway_faults(asker: Asker, fault: Fault, status: int, kind: str, is_json: bool) -> None:
    answer = ask(asker, fault)
    assert (answer.status, answer.headers.get("content-type", "")) == (status, kind)
    assert (answer.body[:1] == b"{") == is_json
    assert not is_json or answer.json["success"] is False
    assert asker.get(LIST).status == 200
    assert asker.sandbox.faults.met == {fault.value: 1}
    assert [(entry.status, entry.fault) for entry in asker.sandbox.requests.latest()][1:] == [
        (status, fault.value),
        (200, ""),
    ]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault.LIMIT, {"ratelimit-limit": "300", "ratelimit-remaining": "0", "ratelimit-reset": "7"}),
        (Fault.LIMIT_RETRY_AFTER, {"retry-after": "7"}),
        (Fault.LIMIT_BARE, {}),
    ],
)
def test_a_429_says_as_much_as_its_name(asker: Asker, fault: Fault, told: dict[str, str]) -> None:
    answer = ask(asker, fault, seconds=7)
    assert answer.status == 429
    assert {name: value for name, value in answer.headers.items() if "rate" in name or "retry" in name} == told


def test_under_v1_a_429_speaks_as_v1_does(asker: Asker) -> None:
    told = ask(asker, Fault.LIMIT, "/receipts").headers
    assert {name for name in told if "rate" in name or "retry" in name} == {
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "retry-after",
    }


def test_json_nested_too_deeply(asker: Asker) -> None:
    body = ask(asker, Fault.NESTED).body
    assert body.startswith(b"[" * 1000)
    assert body.count(b"[") == body.count(b"]") == 100_000


def test_a_huge_body_comes_whole(asker: Asker) -> None:
    body = ask(asker, Fault.HUGE).body
    assert len(body) > 80 * 1024 * 1024
    assert len(json.loads(body)["data"]) == 80 * 1024 * 1024


def test_a_huge_body_packed_is_small_on_the_wire(asker: Asker) -> None:
    answer = ask(asker, Fault.HUGE_GZIP)
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.body) < 1024 * 1024
    assert len(gzip.decompress(answer.body)) > 80 * 1024 * 1024


def test_a_broken_gzip_is_the_true_answer_with_a_wrong_end(asker: Asker) -> None:
    true = asker.get(LIST).body
    answer = ask(asker, Fault.BROKEN_GZIP)
    assert answer.headers["content-encoding"] == "gzip"
    with pytest.raises(gzip.BadGzipFile, match="CRC"):
        gzip.decompress(answer.body)
    assert zlib.decompressobj(wbits=-zlib.MAX_WBITS).decompress(answer.body[10:]) == true


def test_a_cut_off_answer_is_half_of_the_true_one(asker: Asker) -> None:
    true = asker.get(LIST).body
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(asker, Fault.CUT_OFF)
    assert caught.value.partial == true[: len(true) // 2]
    assert caught.value.expected == len(true) - len(true) // 2


def test_a_dripping_answer_is_the_true_one_in_pieces(asker: Asker) -> None:
    true = asker.get(LIST).body
    assert asker.token
    asker.sandbox.faults.plan(Fault.DRIP, times=1, seconds=0.2)
    with raw(asker) as connection:
        pieces: list[bytes] = []
        while not b"".join(pieces).endswith(true) and len(pieces) < 1000:
            pieces.append(connection.recv(100_000))
    assert b"".join(pieces).endswith(true)
    assert len(pieces) > 10


def raw(asker: Asker) -> socket.socket:
    """A connection on which the list was asked for."""
    parts = urlsplit(asker.sandbox.url)
    assert parts.hostname is not None
    assert parts.port is not None
    connection = socket.create_connection((parts.hostname, parts.port), timeout=20)
    head = f"GET {parts.path}{LIST} HTTP/1.1\r\nHost: sandbox\r\nx-token: {asker.token}\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def test_a_reset_is_one(asker: Asker) -> None:
    assert asker.token
    asker.sandbox.faults.plan(Fault.RESET, times=1)
    with raw(asker) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)


def test_a_closed_connection_says_nothing(asker: Asker) -> None:
    assert asker.token
    asker.sandbox.faults.plan(Fault.CLOSED, times=1)
    with raw(asker) as connection:
        assert connection.recv(1) == b""


def test_a_stalled_connection_stays_open_and_says_nothing(asker: Asker) -> None:
    assert asker.token
    asker.sandbox.faults.plan(Fault.STALL, times=1)
    with raw(asker) as connection:
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert asker.get(LIST).status == 200


def test_a_server_that_stops_lets_go_of_what_it_stalls(vendor_world: World, caplog: pytest.LogCaptureFixture) -> None:
    with Sandbox(vendor_world) as sandbox, Asker(sandbox) as asker:
        assert asker.token
        sandbox.faults.plan(Fault.STALL, times=1)
        connection = raw(asker)
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    with connection, suppress(ConnectionResetError):
        assert connection.recv(1) == b""
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(("fault", "words"), [(Fault.EXPIRED, "Token expired"), (Fault.REVOKED, "Invalid token")])
def test_a_token_ends_in_mid_flight(asker: Asker, fault: Fault, words: str) -> None:
    answer = ask(asker, fault)
    assert (answer.status, answer.json["error"]) == (401, words)
    asker.token = None
    assert asker.get(LIST).status == 200


def test_every_fault_is_served_and_leaves_the_server_well(vendor_world: World) -> None:
    with Sandbox(vendor_world, limits=LimitOptions.unlimited()) as sandbox:
        for fault in Fault:
            with Asker(sandbox) as asker:
                assert asker.token
                sandbox.faults.plan(fault, LIST, times=1, seconds=0)
                if fault is Fault.STALL:
                    raw(asker).close()
                    continue
                with suppress(http.client.HTTPException, ConnectionError):
                    asker.get(LIST)
        with Asker(sandbox) as asker:
            assert asker.get(LIST).status == 200
        assert sandbox.faults.met == dict.fromkeys(Fault, 1)


# Plans


def statuses(asker: Asker, paths: list[str]) -> list[int]:
    return [asker.get(path).status for path in paths]


def test_a_plan_spares_some_and_ends(asker: Asker) -> None:
    asker.sandbox.faults.plan("503", spared=2, times=2, path=LIST)
    assert statuses(asker, [LIST] * 6) == [200, 200, 503, 503, 200, 200]


@pytest.mark.parametrize(
    ("path", "met"),
    [
        ("", [503, 503, 503, 503]),
        ("/receipts", [503, 200, 200, 503]),
        ("/receipts/*", [200, 503, 503, 200]),
        ("/stock-operations", [200, 200, 503, 200]),
        ("/v2/receipts", [503, 200, 200, 200]),
    ],
)
def test_a_plan_is_for_paths_that_end_so(asker: Asker, path: str, met: list[int]) -> None:
    paths = [LIST, "/v2/receipts/1", "/v2/receipts/1/stock-operations", "/receipts"]
    asker.token = "none"
    asker.sandbox.faults.plan("503", path)
    assert [status == 503 for status in statuses(asker, paths)] == [status == 503 for status in met]


def test_a_share_is_drawn_by_seed_and_request_whatever_came_before(vendor_world: World) -> None:
    def play(seed: int, order: list[int]) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        with Sandbox(vendor_world, limits=LimitOptions.unlimited()) as sandbox, Asker(sandbox) as asker:
            assert asker.token
            sandbox.faults.plan(["500", "502", "503", "504"], share=0.5, seed=seed)
            for number in order:
                found.setdefault(number, []).append(asker.get(f"/v2/receipts/{number}").status)
        return found

    order = [*range(1, 31), *range(1, 31)]
    first = play(1, order)
    assert play(1, order[::-1]) == first
    assert play(2, order) != first
    counted = Counter(status for statuses in first.values() for status in statuses)
    assert counted.keys() == {200, 404, 500, 502, 503, 504}
    assert 15 < sum(counted[status] for status in (500, 502, 503, 504)) < 45


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"faults": "teapot"}, "no fault is called 'teapot'; there are 429, "),
        ({"faults": []}, "name a fault"),
        ({"faults": "500", "share": 0}, "share"),
        ({"faults": "500", "share": 1.1}, "share"),
        ({"faults": "500", "times": 0}, "times"),
        ({"faults": "500", "spared": -1}, "spared"),
        ({"faults": "500", "seconds": -1}, "seconds"),
    ],
)
def test_what_is_no_plan_is_refused(asker: Asker, plan: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        asker.sandbox.faults.plan(**plan)
    assert asker.get(LIST).status == 200


# The control door


def test_the_control_door_orders_faults(history: History) -> None:
    with Sandbox(history) as sandbox, Asker(sandbox) as asker:
        order = {"fault": "503", "times": 1, "path": "/receipts"}
        told = asker.send("POST", "/sandbox/faults", {}, json.dumps(order)).json
        assert told["plans"] == [
            {
                "faults": ["503"], "path": "/receipts", "times": 1, "spared": 0, "share": 1.0, "seed": 0,
                "seconds": None, "met": 0,
            }
        ]  # fmt: skip
        assert statuses(asker, [LIST, LIST]) == [503, 200]
        seen = asker.send("GET", "/sandbox/faults", {}).json
        assert seen["names"] == [fault.value for fault in Fault]
        assert (seen["plans"][0]["met"], seen["met"]) == (1, {"503": 1})


def test_the_control_door_orders_a_mixture_and_ends_it(history: History) -> None:
    with Sandbox(history) as sandbox, Asker(sandbox) as asker:
        asker.send("POST", "/sandbox/faults", {}, json.dumps({"fault": ["500", "502"], "share": 0.5, "seed": 3}))
        assert len(set(statuses(asker, [LIST] * 20))) == 3
        ended = asker.send("DELETE", "/sandbox/faults", {}).json
        assert (ended["plans"], ended["met"]) == ([], {})
        assert set(statuses(asker, [LIST] * 20)) == {200}
        told = asker.send("POST", "/sandbox/faults", {}, '{"fault": "any"}').json
        assert told["plans"][0]["faults"] == told["names"]


@pytest.mark.parametrize(
    "body",
    ["", "[]", "{}", '{"fault": 5}', '{"fault": "teapot"}', '{"fault": []}', '{"fault": "500", "tiems": 1}',
     '{"fault": "500", "times": "many"}', '{"fault": "500", "share": 2}'],
)  # fmt: skip
def test_the_control_door_refuses_what_is_no_plan(history: History, body: str) -> None:
    with Sandbox(history) as sandbox, Asker(sandbox) as asker:
        answer = asker.send("POST", "/sandbox/faults", {}, body)
        assert answer.status == 400
        assert "\n" not in answer.json["error"]
        assert answer.json["error"]
        assert asker.get(LIST).status == 200
