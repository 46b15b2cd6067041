"""What the versions of the Open API differ in: addresses, authentication, headers, parameters, quota.

v2 is documented under https://developer.clopos.com/api-reference/v2; v1 by
https://developer.clopos.com/api-reference/overview and the pages of receipts beside it. Of v1's list
https://developer.clopos.com/api-reference/receipts/get-receipts has the parameters of v2, in brackets, while public
clients send `date_from`, `date_to`, `sort_by` and `sort_order`: both spellings are sent, of which a server takes the
one it knows. Whether `date_to` is a day or, as one of those clients types it, a moment is not said: the day after the
last one is sent, before which that one is over. Were all this unknown to the server, the list would be longer and not
shorter.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from email.utils import parsedate_to_datetime

from multidict import CIMultiDict

_LINES = "with[0]=receipt_products&with[1]=receipt_products.modificators"
# Unix seconds, of which no wait is that long.
_FIRST_MOMENT = 1_000_000_000.0


@dataclass(frozen=True)
class Dialect:
    """One version of the API.

    `credentials` are the fields of a request for a token, by their names in Connection; `venue_id` among them means
    that a token is good for one venue, and that every request names its venue. `windows` are the quota's windows as
    multiples of the first one's requests and seconds. `shows_deleted`: a deleted receipt stays, in the list and by id,
    with `deleted_at`. A page holds `largest_page` receipts at most. A server that asks for a longer wait than
    `longest_wait_seconds` is not waited for.
    """

    version: str
    root: str
    credentials: tuple[str, ...]
    list_query: str
    days_query: str
    receipt_query: str
    operations_path: str
    receipts_hold_operations: bool
    shows_deleted: bool
    rate_limit_headers: str
    windows: tuple[tuple[int, int], ...]
    longest_wait_seconds: float
    largest_page: int
    names_brand: bool = False

    def address(self, path: str) -> str:
        """A path of the API below the base URL."""
        return f"{self.root}{path}"

    def list_receipts(
        self, *, page: int, limit: int, sort: str, direction: int, created: tuple[date, date] | None = None
    ) -> str:
        """The target of one page of receipts; `direction` is 1 or -1.

        `created` are the first and the last day of `created_at`, both inclusive; without, all days are listed.
        """
        days = "" if created is None else self.days_query.format(*created, created[1] + timedelta(days=1))
        query = self.list_query.format(page=page, limit=limit, sort=sort, direction=direction, days=days)
        return f"{self.address('/receipts')}?{query}"

    def get_receipt(self, receipt_id: int) -> str:
        """The target of one receipt with its lines."""
        return f"{self.address(f'/receipts/{receipt_id}')}{self.receipt_query}"

    def get_operations(self, receipt_id: int) -> str:
        """The target of the answer that holds a receipt's stock operations."""
        return self.address(self.operations_path.format(id=receipt_id))

    @property
    def needs_venue(self) -> bool:
        """Whether each request names its venue, and has a token of that venue."""
        return "venue_id" in self.credentials

    @property
    def variables(self) -> str:
        """The settings that say who asks, for a message."""
        names = [f"CLOPOS_{'venue_ids' if name == 'venue_id' else name}".upper() for name in self.credentials]
        return f"{', '.join(names[:-1])} and {names[-1]}"

    def identify(self, brand: str, token: str, venue_id: int | None) -> dict[str, str]:
        """The headers that say who asks, and for which venue."""
        headers = {"x-token": token}
        if self.names_brand:
            headers["x-brand"] = brand
        if venue_id is not None:
            headers["x-venue"] = str(venue_id)
        return headers

    def read_headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """The headers of an answer, what they say of the quota under v2's names and in seconds.

        v1's overview shows a reset that is a moment and does not say so: what is too long for seconds is unix time,
        by the server's clock.
        """
        if self.rate_limit_headers == V2.rate_limit_headers:
            return headers
        read = CIMultiDict(headers)
        for name in ("Limit", "Remaining", "Reset"):
            said = headers.get(f"{self.rate_limit_headers}{name}")
            if said is not None:
                read[f"{V2.rate_limit_headers}{name}"] = said if name != "Reset" else _seconds_until(said, headers)
        if "RateLimit-Reset" not in read and headers.get("Retry-After", "").isdigit():
            read["RateLimit-Reset"] = headers["Retry-After"]
        return read


def read_moment(headers: Mapping[str, str]) -> float:
    """When the server answered, in unix seconds: moments that it names are by its clock, of which this machine's may
    differ by hours. Where it does not say, this machine's now.
    """
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return time.time()


def _seconds_until(said: str, headers: Mapping[str, str]) -> str:
    try:
        moment = float(said)
    except ValueError:
        return said
    return said if moment < _FIRST_MOMENT else f"{max(0.0, moment - read_moment(headers)):.3f}"


V2 = Dialect(
    version="v2",
    root="/v2",
    credentials=("client_id", "client_secret", "brand", "integrator_id"),
    list_query="page={page}&sort[0]={sort}&sort[1]={direction}&limit={limit}{days}&" + _LINES,
    days_query="&date[0]={0}&date[1]={1}",
    receipt_query=f"?{_LINES}",
    operations_path="/receipts/{id}/stock-operations",
    receipts_hold_operations=False,
    shows_deleted=False,
    rate_limit_headers="RateLimit-",
    windows=((1, 1),),
    longest_wait_seconds=600.0,
    # "Typically 200": https://developer.clopos.com/common-objects
    largest_page=200,
)

V1 = Dialect(
    version="v1",
    root="",
    credentials=("client_id", "client_secret", "brand", "venue_id"),
    list_query=(
        "page={page}&limit={limit}&sort_by={sort}&sort_order={direction}&sort[0]={sort}&sort[1]={direction}{days}"
    ),
    days_query="&date_from={0}&date_to={2}&date[0]={0}&date[1]={1}",
    # Lines are always in it.
    receipt_query="",
    operations_path="/receipts/{id}",
    receipts_hold_operations=True,
    shows_deleted=True,
    rate_limit_headers="X-RateLimit-",
    # 100 a minute and 1,000 an hour.
    windows=((1, 1), (10, 60)),
    longest_wait_seconds=3600.0,
    # https://developer.clopos.com/api-reference/overview, in its example of an error
    largest_page=100,
    names_brand=True,
)

DIALECTS: Mapping[str, Dialect] = {"v1": V1, "v2": V2}
