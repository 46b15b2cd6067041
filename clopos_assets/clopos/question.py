"""One GET of the client before it is sent. Nothing here sends."""

from dataclasses import dataclass, field

from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.wire import Request


@dataclass(frozen=True)
class Question:
    """One GET, without the token that it will carry; `refused_tokens` were not taken though they were new."""

    target: str
    name: str
    venue_id: int | None
    one_resource: bool
    refused_tokens: set[str] = field(default_factory=set, repr=False)

    def to_request(self, connection: Connection, token: str) -> Request:
        """The request as one of its tries sends it."""
        headers = {
            "accept": "application/json",
            **connection.dialect.identify(connection.brand, token, self.venue_id),
        }
        most = connection.max_receipt_bytes if self.one_resource else None
        return Request("GET", self.target, self.name, headers, max_bytes=most)
