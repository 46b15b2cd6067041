"""Where Clopos is, who asks, and how patiently. Values only; nothing here sends."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from clopos_assets.clopos.address import check_address, is_this_machine
from clopos_assets.clopos.dialect import V2, Dialect
from clopos_assets.clopos.errors import CloposRefusedError


@dataclass(frozen=True)
class Connection:
    """One brand's access. `base_url` is the API root without the version: https, or http to this machine only.

    `timeout_seconds` bounds one request from the first byte out to the last byte in. It must exceed the 8 s
    after which Clopos itself gives up on its upstream (https://developer.clopos.com/errors). `attempts` are tries
    per request; the pause before try n is about `backoff_seconds` × 2^(n−2), with jitter, up to `backoff_max_seconds`.
    `max_body_bytes` bound an answer, and `max_receipt_bytes` one about a single receipt, of which `max_in_flight` may
    come at once.

    Raises CloposRefusedError for an address that would show the credentials to others.
    """

    base_url: str
    client_id: str
    client_secret: str = field(repr=False)
    brand: str
    integrator_id: str = ""
    dialect: Dialect = V2
    max_in_flight: int = 16
    attempts: int = 6
    timeout_seconds: float = 30.0
    backoff_seconds: float = 1.0
    backoff_max_seconds: float = 30.0
    max_body_bytes: int = 64 * 1024 * 1024
    max_receipt_bytes: int = 8 * 1024 * 1024

    def __post_init__(self) -> None:
        _check_address(self.base_url)
        bounds = (self.max_in_flight, self.attempts, self.max_body_bytes, self.max_receipt_bytes)
        if min(bounds) < 1 or self.timeout_seconds <= 0:
            raise ValueError(
                "max_in_flight, attempts, max_body_bytes, max_receipt_bytes and timeout_seconds must be positive"
            )

    @property
    def root(self) -> str:
        """The base URL without a slash at its end."""
        return self.base_url.rstrip("/")

    def credentials(self, venue_id: int | None) -> dict[str, str]:
        """What a request for a token says; `venue_id` is whose token it is, where tokens are of a venue."""
        given = {
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "brand": self.brand,
            "integrator_id": self.integrator_id,
            "venue_id": str(venue_id),
        }
        return {name: given[name] for name in self.dialect.credentials}

    @property
    def is_local(self) -> bool:
        """Whether the address is this machine."""
        return is_this_machine(urlsplit(self.base_url).hostname or "")


def _check_address(base_url: str) -> None:
    try:
        check_address(base_url)
    except ValueError as error:
        raise CloposRefusedError(
            f"CLOPOS_BASE_URL {error}: it takes an address such as https://integrations.clopos.com/open-api"
        ) from None
