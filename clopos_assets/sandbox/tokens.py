"""Access tokens of the stand-in API: issuing, checking, and taking them back for a test.

Shaped like the vendor's (a signed JWT with brand, stage, venue_id, integrator_id, iat, exp; page
"Authentication") and opaque to clients. Lives in wall-clock time, because a client compares `expires_at` with
its own clock even while the restaurant's clock stands still.
"""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any


class InvalidTokenError(Exception):
    """No token of this server: malformed, wrongly signed or taken back."""


class ExpiredTokenError(Exception):
    """A token of this server past its end; `expires_at` is ISO 8601 in UTC, as in the vendor's error body."""

    def __init__(self, expires_at: str) -> None:
        super().__init__(expires_at)
        self.expires_at = expires_at


class Tokens:
    """Issues and checks tokens; `clock` gives unix seconds, `lifetime` is in seconds (documented: 3600)."""

    def __init__(self, clock: Callable[[], float] = time.time, lifetime: int = 3600) -> None:
        self.lifetime = lifetime
        self._clock = clock
        self._lock = threading.Lock()
        self._serial = 0
        self._revoked_through = 0
        self._expired_through = 0

    def issue(self, *, brand: str, integrator_id: str, venue_id: int) -> tuple[str, int]:
        """Gives the token and its `expires_at` in unix seconds."""
        now = int(self._clock())
        with self._lock:
            self._serial += 1
            serial = self._serial
        claims = {
            "brand": brand,
            "stage": "sandbox",
            "venue_id": venue_id,
            "integrator_id": integrator_id,
            "serial": serial,
            "iat": now,
            "exp": now + self.lifetime,
        }
        head = _encode({"alg": "HS256", "typ": "JWT"})
        body = _encode(claims)
        return f"{head}.{body}.{_sign(f'{head}.{body}')}", now + self.lifetime

    def check(self, token: str) -> dict[str, Any]:
        """Gives the claims, or raises `InvalidTokenError` or `ExpiredTokenError` (from its `exp` on)."""
        signed, _, signature = token.rpartition(".")
        if not signed or not hmac.compare_digest(_sign(signed).encode(), signature.encode()):
            raise InvalidTokenError
        claims = _decode(signed.rpartition(".")[2])
        if claims["serial"] <= self._revoked_through:
            raise InvalidTokenError
        if claims["serial"] <= self._expired_through or self._clock() >= claims["exp"]:
            raise ExpiredTokenError(datetime.fromtimestamp(claims["exp"], UTC).isoformat().replace("+00:00", "Z"))
        return claims

    def revoke_all(self) -> None:
        """Every token issued so far answers "Invalid token" from now on."""
        with self._lock:
            self._revoked_through = self._serial

    def expire_all(self) -> None:
        """Every token issued so far answers "Token expired" from now on."""
        with self._lock:
            self._expired_through = self._serial


def _encode(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).rstrip(b"=").decode()


def _decode(text: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return claims


def _sign(text: str) -> str:
    # The key is public knowledge: these tokens open nothing but a made-up restaurant on this machine.
    digest = hmac.new(b"clopos-assets sandbox", text.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
