"""The environment, read and checked once: every `CLOPOS_*` variable, its default and what it takes.

Nothing else reads these variables. A malformed one stops with a line that names it, and so does a name that looks
like a misspelled one; credentials may be missing until a run needs them, so that the definitions always load.
"""

import os
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from time import strptime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from clopos_assets.clopos.address import check_address

VENDOR_BASE_URL = "https://integrations.clopos.com/open-api"
# A bucket, and perhaps folders in it; what some reader would take for a pattern or a query, or writes otherwise in an
# address, is left out.
_OBJECT_STORE = re.compile(r"s3://[\w.-]+(/(?!\.{1,2}(/|$))[\w.+&;,:!'()$=-]+)*/?", re.ASCII)
_LIKE_ADDRESS = re.compile(r"s3[an]?:|[a-z][\w+.-]+:/", re.ASCII | re.IGNORECASE)
CREDENTIALS = ("client_id", "client_secret", "brand", "integrator_id")
CREDENTIALS_V1 = ("client_id", "client_secret", "brand", "venue_ids")
"""What a run needs under each version: a token of v1 is for one venue, so that the venues must be named."""

_PREFIX = "CLOPOS_"
# How alike two names are, by difflib's ratio, for one to be a misspelling of the other: CLOPOS_LAEK (0.909) and
# CLOPOS_VENUES (0.897) are, CLOPOS_VERSION (0.875) and CLOPOS_INTEGRATOR_PORT (0.857), which Kubernetes makes of a
# service's name, are not.
_MISSPELLED = 0.89

FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(9000, 1, 1)
"""Between which a calendar may begin, the latter exclusive: there is room before and after."""


class SettingsError(Exception):
    """A variable is malformed, or missing where it is needed. No retry helps until it is set right."""


def _from_text(read: Callable[[str], object]) -> BeforeValidator:
    """What the environment says is read so; what a caller gives as a value is taken as it is."""
    return BeforeValidator(lambda value: read(value) if isinstance(value, str) else value)


def _read_date(text: str) -> date:
    return date(*strptime(text, "%Y-%m-%d")[:3])


def _read_time(text: str) -> time:
    return time(*strptime(text, "%H:%M")[3:5])


def _read_zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ValueError("unknown time zone") from error


def _read_venues(text: str) -> str | tuple[int, ...]:
    if text.strip() == "all":
        return "all"
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise ValueError("not digits alone")  # int() would read 1_2 as 12
    ids = tuple(map(int, parts))
    if len(set(ids)) != len(ids) or min(ids) < 1:
        raise ValueError("not a list of distinct venue ids")
    return ids


def _read_credential(text: str) -> str:
    text = text.strip()  # a secret that is kept in a file often ends with a line break
    if not text.isprintable():
        raise ValueError("control characters")
    return text


def _read_base_url(text: str) -> str:
    check_address(text)
    return text.rstrip("/")


def _read_lake(text: str) -> Path | str:
    text = text.strip()  # it would be part of the folder's name
    if not text or any(character < " " for character in text):
        raise ValueError("nothing, or control characters")
    if text[0] == text[-1] and text[0] in "'\"":
        raise ValueError("in quotes, which would be part of its name")
    if _LIKE_ADDRESS.match(text) and "://" not in text:
        raise ValueError("an address without its two slashes")
    if "://" not in text:
        try:
            return Path(text).expanduser().absolute()
        except RuntimeError as error:
            raise ValueError("no such user") from error
    if not _OBJECT_STORE.fullmatch(text):
        raise ValueError("neither a folder nor a place in an object store")
    return text.rstrip("/")


_Text = Annotated[str | None, _from_text(_read_credential)]
_Secret = Annotated[SecretStr | None, _from_text(_read_credential)]
_Amount = Annotated[Decimal, Field(lt=10**6, decimal_places=6)]


def dagster_home() -> Path:
    """Dagster's home as Dagster reads it; where none is set, the current folder."""
    return Path(os.path.expanduser(os.environ.get("DAGSTER_HOME") or ".")).absolute()


def _default_lake() -> Path:
    return dagster_home() / "lake"


class Settings(BaseSettings):
    """What the environment says. Times of day are the venues' local time in `timezone`."""

    # An empty variable means "not set", as in an .env file with the value left out.
    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_ignore_empty=True,
        enable_decoding=False,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
    )

    client_id: _Text = Field(None, description="the client id that Clopos gave you")
    client_secret: _Secret = Field(None, description="the client secret that Clopos gave you")
    brand: _Text = Field(None, description="the brand's name at Clopos")
    integrator_id: _Text = Field(None, description="the integrator id that Clopos gave you")
    venue_ids: Annotated[Literal["all"] | tuple[int, ...] | None, _from_text(_read_venues)] = Field(
        None, description="venue ids separated by commas, such as 1,2, or the word all"
    )
    base_url: Annotated[str, _from_text(_read_base_url)] = Field(
        VENDOR_BASE_URL,
        description="the API's address without the version: https, or http to this machine only",
    )
    api_version: Literal["v1", "v2"] = Field("v2", description="v1 or v2")
    lake: Annotated[Path | str, _from_text(_read_lake)] = Field(
        default_factory=_default_lake, description="a folder, or an address in an object store such as s3://bucket/lake"
    )
    start_date: Annotated[date, _from_text(_read_date)] = Field(
        date(2025, 1, 1),
        ge=FIRST_DAY,
        lt=LAST_DAY,
        description="a date from 1970 on as YYYY-MM-DD, such as 2025-01-01",
    )
    timezone: Annotated[ZoneInfo, _from_text(_read_zone)] = Field(
        ZoneInfo("Asia/Baku"), description="a time zone by its IANA name, such as Asia/Baku"
    )
    shift_end: Annotated[time, _from_text(_read_time)] = Field(
        time(6, 0), description="a time of day as HH:MM, such as 06:00"
    )
    list_days_before: int = Field(2, ge=0, le=366, description="a number of days from 0 to 366")
    list_days_after: int = Field(1, ge=0, le=366, description="a number of days from 0 to 366")
    requests_per_window: int = Field(300, ge=1, description="a whole number from 1")
    window_seconds: float = Field(
        60, gt=0, le=86_400, allow_inf_nan=False, description="a number of seconds above 0, up to 86400, such as 60"
    )
    poll_seconds: int = Field(300, ge=1, le=86_400, description="a whole number of seconds from 1 to 86400")
    sweep_days: int = Field(14, ge=1, le=366, description="a number of days from 1 to 366")
    allow_mass_removal: bool = Field(False, description="true or false")
    personal_data: Literal["keep", "hash", "drop"] = Field("keep", description="keep, hash or drop")
    money_tolerance: _Amount = Field(
        Decimal("0.01"), ge=0, description="an amount from 0 and below a million, to six places, such as 0.01"
    )
    quantity_tolerance: _Amount = Field(
        Decimal("0.000001"), ge=0, description="a quantity from 0 and below a million, to six places, such as 0.000001"
    )
    cost_unit: _Amount = Field(
        Decimal("0.01"), gt=0, description="an amount above 0 and below a million, to six places, such as 0.01"
    )
    standard_days: int = Field(28, ge=1, le=366, description="a number of days from 1 to 366")

    @field_validator(
        "start_date",
        "shift_end",
        "list_days_before",
        "list_days_after",
        "requests_per_window",
        "window_seconds",
        "poll_seconds",
        "sweep_days",
        "money_tolerance",
        "quantity_tolerance",
        "cost_unit",
        "standard_days",
        mode="before",
    )
    @classmethod
    def _as_it_looks(cls, given: object) -> object:
        """Python would read 1_4 as 14, and the digits of every script."""
        if isinstance(given, str) and ("_" in given or not given.isascii()):
            raise ValueError("more than the digits and signs of a number")
        return given

    @model_validator(mode="before")
    @classmethod
    def _default_of_version(cls, given: dict[str, object]) -> dict[str, object]:
        """v1 has a smaller quota: https://developer.clopos.com/api-reference/overview."""
        return {"requests_per_window": 100, **given} if given.get("api_version") == "v1" else given

    @classmethod
    def read(cls, **given: object) -> "Settings":
        """The settings of this process; `given` wins over the environment.

        Raises SettingsError, one line for all that is wrong.
        """
        wrong = [
            f"{name} is not a setting: did you mean {meant}?"
            for name, meant in unknown_variables().items()
            if meant is not None
        ]
        try:
            settings = cls.model_validate(given)
        except ValidationError as error:
            fields = {str(detail["loc"][0]) for detail in error.errors()}
            wrong += [_describe(field, given) for field in sorted(fields)]
            raise SettingsError("; ".join(wrong)) from None
        if wrong:
            raise SettingsError("; ".join(wrong))
        if settings.api_version == "v1" and settings.venue_ids == "all":
            raise SettingsError(
                "CLOPOS_VENUE_IDS is all, which CLOPOS_API_VERSION=v1 can't list: name the venues by id, such as 1,2"
            )
        return settings

    def cron(self, hours_after_shift_end: int = 0) -> str:
        """Every day, in `timezone`, so many hours after a shift has ended, as a line of cron."""
        at = datetime.combine(date.min, self.shift_end) + timedelta(hours=hours_after_shift_end)
        return f"{at.minute} {at.hour} * * *"

    def missing_credentials(self) -> list[str]:
        """Names of the variables without which the API can't be asked, in the order of the table."""
        needed = CREDENTIALS_V1 if self.api_version == "v1" else CREDENTIALS
        return [variable(name) for name in needed if not getattr(self, name)]

    def why_idle(self) -> str | None:
        """Why nothing starts by itself, for those who skip then; None where all that the API needs is set."""
        missing = self.missing_credentials()
        return f"no credentials: {', '.join(missing)} not set" if missing else None

    def require_credentials(self) -> tuple[str, str, str, str]:
        """Client id, client secret, brand and integrator id, the last empty under v1, which knows none.

        Raises SettingsError where something is missing.
        """
        missing = self.missing_credentials()
        if missing:
            verb = "is" if len(missing) == 1 else "are"
            venues = variable("venue_ids")
            remedies = []
            if missing != [venues]:
                remedies.append(
                    "set the credentials that Clopos gave you, or run `clopos-assets sandbox` for some that work on "
                    "this machine"
                )
            if venues in missing:
                remedies.append(f"name the venues in {venues} by id, such as 1,2, because v1 can't list them")
            raise SettingsError(f"{', '.join(missing)} {verb} not set: {'; '.join(remedies)}")
        integrator_id = "" if self.api_version == "v1" else self.integrator_id
        assert self.client_id, "not missing"
        assert self.client_secret, "not missing"
        assert self.brand, "not missing"
        assert integrator_id is not None, "not missing"
        return self.client_id, self.client_secret.get_secret_value(), self.brand, integrator_id


def variable(field: str) -> str:
    """The name of the environment variable behind a field of Settings."""
    return f"{_PREFIX}{field.upper()}"


def unknown_variables() -> dict[str, str | None]:
    """Names in the environment that begin as settings do and are none, each with the setting that it looks like.

    That is None for names of others' making, as Kubernetes' for a service called clopos, and for those that go on where
    a setting's ends, as of a second account or an old value. An empty one is not set.
    """
    known = [variable(field) for field in Settings.model_fields]
    begun = sorted(name for name, value in os.environ.items() if value and name.upper().startswith(_PREFIX))
    goes_on = tuple(f"{name}_" for name in known)
    return {
        name: None
        if name.upper().startswith(goes_on)
        else next(iter(get_close_matches(name.upper(), known, n=1, cutoff=_MISSPELLED)), None)
        for name in begun
        if name.upper() not in known
    }


def _describe(field: str, given: Mapping[str, object]) -> str:
    name = variable(field)
    info = Settings.model_fields.get(field)
    if info is None:
        return f"{name} is not a setting"
    # Names of variables are taken in any case.
    got = given.get(field, next((value for key, value in os.environ.items() if key.upper() == name), None))
    # A secret is never shown, nor an address that may carry a password or a key.
    is_hidden = "secret" in field or any(mark in str(got) for mark in "@?")
    shown = "a value that is not shown" if is_hidden else repr(got)
    return f"{name} is malformed: it takes {info.description}, and got {shown}"
