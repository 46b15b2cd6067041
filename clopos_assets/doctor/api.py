"""What Clopos says to these settings: whether it takes the credentials, which venues there are, what quota is left."""

import asyncio
from collections.abc import Mapping, Sequence

from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.dialect import DIALECTS
from clopos_assets.clopos.errors import CloposError
from clopos_assets.clopos.listing import Page, read_id
from clopos_assets.clopos.probe import Probe
from clopos_assets.clopos.verdict import one_line
from clopos_assets.clopos.window import RateLimit
from clopos_assets.doctor.finding import Finding
from clopos_assets.settings import Settings

WHAT = ("authentication", "venues", "receipts", "quota")
_SHOWN_VENUES = 10
_SHOWN_LETTERS = 40
_TRIED_VENUES = 10
"""Authentications of one address are limited to 60 a minute: https://developer.clopos.com/rate-limits"""


def ask_clopos(settings: Settings, found: list[Finding]) -> None:
    """Needs the credentials. After a question that fails, those that build on it are not put."""
    asyncio.run(_ask(settings, found))
    for what in WHAT[len(found) :]:
        found.append(Finding(what, False, f"not looked at: mend {found[-1].what} first"))


async def _ask(settings: Settings, found: list[Finding]) -> None:
    client_id, client_secret, brand, integrator_id = settings.require_credentials()
    try:
        dialect = DIALECTS[settings.api_version]
        connection = Connection(settings.base_url, client_id, client_secret, brand, integrator_id, dialect)
        named = settings.venue_ids if isinstance(settings.venue_ids, tuple) else ()
        first = next(iter(named), None)
        async with Probe(connection) as probe:
            if dialect.needs_venue:  # that version lists no venues: each has to be asked for a token of its own
                refused, first = await _sign_in(probe, named)
                found.append(Finding("authentication", True, f"brand {brand} at {settings.base_url}"))
                found.append(_judge_named_venues(named, refused))
            else:
                await probe.authenticate(None)
                found.append(Finding("authentication", True, f"brand {brand} at {settings.base_url}"))
                found.append(_judge_venues(settings, await probe.list_venues()))
            await probe.read_receipts(first)
            found.append(Finding("receipts", True, "may be read"))
            found.append(_judge_quota(settings, probe.rate_limit))
    except CloposError as error:
        found.append(Finding(WHAT[len(found)], False, str(error)))


async def _sign_in(probe: Probe, venue_ids: Sequence[int]) -> tuple[dict[int, str], int]:
    """Try the first venues, each with a token of its own: which are refused and why, and one that is not, whose token
    the probe has then. Raises CloposError where all are refused.
    """
    errors: dict[int, CloposError] = {}
    accepted: list[int] = []
    for venue_id in venue_ids[:_TRIED_VENUES]:
        try:
            await probe.authenticate(venue_id)
        except CloposError as error:
            errors[venue_id] = error
        else:
            accepted.append(venue_id)
    if not accepted:
        raise next(iter(errors.values()))
    return {venue_id: str(error) for venue_id, error in errors.items()}, accepted[-1]


def _judge_named_venues(venue_ids: Sequence[int], refused: Mapping[int, str]) -> Finding:
    if refused:
        text = "; ".join(refused.values())
        return Finding("venues", False, f"{', '.join(map(str, refused))} can't be read: {text}")
    untried = len(venue_ids) - _TRIED_VENUES
    more = f", {untried} more are not tried" if untried > 0 else ""
    return Finding("venues", True, f"{', '.join(map(str, venue_ids[:_TRIED_VENUES]))} are read{more}")


def _judge_venues(settings: Settings, venues: Page) -> Finding:
    names = {read_id(venue.get("id")): _shown_name(venue.get("name")) for venue in venues.items}
    if None in names and isinstance(settings.venue_ids, str):
        return Finding("venues", False, "GET /v2/venues names no venues by id: name them in CLOPOS_VENUE_IDS")
    shown = ", ".join(f"{number} {name}".strip() for number, name in [*names.items()][:_SHOWN_VENUES])
    unshown = max(len(names), venues.total) - min(len(names), _SHOWN_VENUES)
    more = f" and {unshown} more" if unshown > 0 else ""
    if settings.venue_ids is None:
        return Finding("venues", True, f"the token's own is read; the brand has {shown}{more}")
    if isinstance(settings.venue_ids, str):
        return Finding("venues", bool(names), f"all are read: {shown}{more}" if names else "the brand has none")
    strangers = [str(number) for number in settings.venue_ids if number not in names]
    if strangers and len(venues.items) >= venues.total:  # where the list comes in pages, they may be on the next
        text = f"CLOPOS_VENUE_IDS names {', '.join(strangers)}, and the brand has {shown}{more}: name those"
        return Finding("venues", False, text)
    return Finding("venues", True, f"{', '.join(map(str, settings.venue_ids))} are read; the brand has {shown}{more}")


def _shown_name(name: object) -> str:
    line = one_line(name) if isinstance(name, str) else ""
    return line if len(line) <= _SHOWN_LETTERS else f"{line[:_SHOWN_LETTERS]}…"


def _judge_quota(settings: Settings, told: RateLimit) -> Finding:
    ceiling = f"CLOPOS_REQUESTS_PER_WINDOW is {settings.requests_per_window}"
    if told.remaining is None:
        return Finding("quota", True, f"Clopos does not say what is left; {ceiling}")
    of = "" if told.limit is None else f" of {told.limit}"
    again = "" if told.reset_seconds is None else f", more in {told.reset_seconds:.0f} s"
    left = f"{told.remaining}{of} requests left{again}"
    if told.remaining == 0:
        return Finding("quota", False, f"{left}: see which other integrations of the brand spend it")
    return Finding("quota", True, f"{left}; {ceiling}")
