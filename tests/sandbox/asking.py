"""Asking the sandbox over raw HTTP: paths are sent exactly as written, brackets and all."""

import http.client
import json
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from clopos_assets.sandbox import Sandbox


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body, parse_float=Decimal)

    @property
    def rate(self) -> tuple[int, int, int]:
        """Limit, remaining, reset."""
        names = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")
        return (int(self.headers[names[0]]), int(self.headers[names[1]]), int(self.headers[names[2]]))


class Asker:
    """One connection to a sandbox; authenticates by itself when first asked for something."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        parts = urlsplit(sandbox.url)
        assert parts.hostname is not None
        self._root = parts.path
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
        self._token: str | None = None

    @property
    def token(self) -> str:
        if self._token is None:
            self._token = str(self.authenticate().json["token"])
        return self._token

    @token.setter
    def token(self, token: str | None) -> None:
        self._token = token

    def credentials(self) -> dict[str, object]:
        known = self.sandbox.credentials
        return {
            "client_id": known.client_id,
            "client_secret": known.client_secret,
            "brand": known.brand,
            "integrator_id": known.integrator_id,
        }

    def authenticate(self, **changes: object) -> Answer:
        body = {name: value for name, value in (self.credentials() | changes).items() if value is not None}
        return self.send("POST", f"{self._root}/v2/auth", {"content-type": "application/json"}, json.dumps(body))

    def get(self, path: str, *, venue: object = None, **headers: str) -> Answer:
        """GET below the API root with a token."""
        sent = {"x-token": self.token, **headers}
        if venue is not None:
            sent["x-venue"] = str(venue)
        return self.send("GET", f"{self._root}{path}", sent)

    def send(self, method: str, target: str, headers: dict[str, str], body: str | None = None) -> Answer:
        try:
            self._connection.request(method, target, body, headers)
            response = self._connection.getresponse()
        except http.client.RemoteDisconnected:
            # Nothing was asked for longer than the server keeps a connection open.
            self._connection.close()
            self._connection.request(method, target, body, headers)
            response = self._connection.getresponse()
        content = response.read()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, content)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
