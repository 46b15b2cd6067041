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
    them, `brackets` as the page of v1's list and v2 have them; with `none` it ignores all but `page`), where a receipt
    holds its `stock_operations`, whether `X-RateLimit-Reset` is unix time, as in the overview's example, or a number of
    seconds, and whether a token comes with no more than its life (`v1_bare_token`), as the OpenAPI schema has it.
    `refuse_large_limit` is of v2: that v1 refuses one is documented.
    """

    refuse_large_limit: bool = False
    unknown_venue_status: int = 404
    bare_errors: bool = False
    deleted_stay: bool | None = None
    v1_parameters: V1Parameters = "brackets"
    v1_operations: Literal["everywhere", "by id", "nowhere"] = "everywhere"
    v1_reset: Literal["seconds", "moment"] = "moment"
    v1_bare_token: bool = False
