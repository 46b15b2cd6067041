"""The scripted server itself, asked with the standard library."""

import http.client
import json
import socket
from collections.abc import Iterator
from decimal import Decimal

import pytest

from .server import Asked, Reply, Server, reply_json


def _answer(asked: Asked) -> Reply:
    match asked.path:
        case "/cut":
            return Reply(body=b"0123456789", fault="cut")
        case "/reset":
            return Reply(fault="reset")
        case "/silent":
            return Reply(fault="silent")
        case "/drip":
            return Reply(body=b"x" * 1000, fault="drip")
        case _:
            return reply_json({"target": asked.target, "body": asked.body.decode()}, 203, {"X-Extra": "1"})


@pytest.fixture(name="connection")
def _connection() -> Iterator[http.client.HTTPConnection]:
    with Server(_answer) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=0.5)
        yield connection
        connection.close()


def test_it_answers_and_keeps_the_connection(connection: http.client.HTTPConnection) -> None:
    for number in range(2):
        connection.request("POST", f"/a?b[0]={number}", body=b"hello")
        response = connection.getresponse()
        assert (response.status, response.getheader("X-Extra")) == (203, "1")
        assert json.loads(response.read()) == {"target": f"/a?b[0]={number}", "body": "hello"}


def test_it_cuts_off(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/cut")
    with pytest.raises(http.client.IncompleteRead):
        connection.getresponse().read()


def test_it_resets(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/reset")
    with pytest.raises(ConnectionResetError) as caught:
        connection.getresponse()
    assert caught.type is ConnectionResetError


def test_it_says_nothing(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/silent")
    with pytest.raises(http.client.RemoteDisconnected):
        connection.getresponse()


def test_it_drips(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/drip")
    response = connection.getresponse()
    assert response.read(2) == b"xx"
    response.close()


def test_it_reports_a_broken_script() -> None:
    def fail(asked: Asked) -> Reply:
        raise LookupError("the script is wrong")

    server = Server(fail)
    server.__enter__()
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert raw.recv(1) == b""
    with pytest.raises(LookupError, match="the script is wrong"):
        server.__exit__(None, None, None)


def test_it_writes_decimals_with_their_digits() -> None:
    assert reply_json({"a": Decimal("12345678901.123456"), "b": "1.0"}).body == b'{"a": 12345678901.123456, "b": "1.0"}'
