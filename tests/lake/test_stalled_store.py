"""An object store that takes connections and never answers: every call ends in one line, in a bounded time."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from clopos_assets.lake import Lake, LakeError
from clopos_assets.tables import STOCK_OPERATIONS
from tests.lake.sample import DAY, operations


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """The connections to a store that says nothing, which is waited for no longer than three seconds.

    A busy machine takes one of them before it connects.
    """
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take() -> None:
            with suppress(OSError):  # closed
                while True:
                    taken.append(listener.accept()[0])

        taking = threading.Thread(target=take, daemon=True)
        taking.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{listener.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setattr("clopos_assets.storage.objects._LOOK_SECONDS", 3.0)
        monkeypatch.setattr("clopos_assets.storage.objects._LONGEST_SECONDS", 3.0)
        yield taken
        listener.shutdown(socket.SHUT_RDWR)
    taking.join()
    for each in taken:
        each.close()


@pytest.mark.parametrize(
    "act",
    [
        lambda lake: lake.dates(STOCK_OPERATIONS),
        lambda lake: lake.has(STOCK_OPERATIONS, DAY),
        lambda lake: lake.read(STOCK_OPERATIONS, DAY),
        lambda lake: lake.replace(STOCK_OPERATIONS, DAY, operations(3), {}),
        lambda lake: lake.discard("_lake/x"),
    ],
    ids=["dates", "has", "read", "replace", "discard"],
)
def test_it_is_told_in_a_bounded_time(silent: list[socket.socket], act: Callable[[Lake], object]) -> None:
    with pytest.raises(LakeError, match=r"can't be (read|written) \(the object store does not answer\): see whether"):
        act(Lake("s3://bucket/lake"))
    assert silent


def test_a_write_that_came_too_late_is_dropped(silent: list[socket.socket]) -> None:
    with pytest.raises(LakeError):
        Lake("s3://bucket/lake").keep("_lake/x", b"body")
    (connection,) = silent
    connection.settimeout(5)
    asked = b""
    while part := connection.recv(65536):  # until the other end hangs up
        asked += part
    assert asked.startswith(b"PUT /bucket/lake/_lake/x")
    assert not asked.endswith(b"body")
