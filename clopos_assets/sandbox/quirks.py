"""Answers that the documents leave open, so that a client can be tried against either. Values only."""

from dataclasses import dataclass
from typing import Literal

V1Parameters = Literal["both", "flat", "moments", "brackets", "none"]
"""Spellings of the parameters of v1's list; `moments` are flat, and a day in them is its midnight."""


@dataclass(frozen=True, slots=True)
class Quirks:
    """How this Clopos reads the open questions.

    `bare_errors` leaves `success` out of refusals, as the vendor's OpenAPI schema of an error does. `deleted_stay`
    says whether a deleted receipt stays in the list and by id, with `deleted_at`; None: under v1, which documents that
    field, and not under v2. Of v1: whose spelling of the list's parameters it knows (`flat` as public clients write
    them, `brackets` as v2 has them; with `none` it ignores all but `page`), where a receipt holds its
    `stock_operations`, and whether `X-RateLimit-Reset` is a number of seconds or unix time.
    """

    refuse_large_limit: bool = False
    unknown_venue_status: int = 404
    bare_errors: bool = False
    deleted_stay: bool | None = None
    v1_parameters: V1Parameters = "both"
    v1_operations: Literal["everywhere", "by id", "nowhere"] = "everywhere"
    v1_reset: Literal["seconds", "moment"] = "seconds"
