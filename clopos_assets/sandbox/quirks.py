"""Answers that the documents leave open, so that a client can be tried against either. Values only."""

from dataclasses import dataclass
from typing import Literal

V1Parameters = Literal["both", "flat", "brackets", "none"]
"""Spellings of the parameters of v1's list."""


@dataclass(frozen=True, slots=True)
class Quirks:
    """How this Clopos reads the open questions.

    Of v1: whose spelling of the list's parameters it knows (`flat` as public clients write them, `brackets` as v2
    has them; with `none` it ignores all but `page`), where a receipt holds its `stock_operations`, and whether
    `X-RateLimit-Reset` is a number of seconds or unix time.
    """

    refuse_large_limit: bool = False
    unknown_venue_status: int = 404
    v1_parameters: V1Parameters = "both"
    v1_operations: Literal["everywhere", "by id", "nowhere"] = "everywhere"
    v1_reset: Literal["seconds", "moment"] = "seconds"
