"""Every variable: its default, what it takes, what it refuses and in which words; and no secret in any of them."""

from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from clopos_assets.settings import CREDENTIALS, CREDENTIALS_V1, Settings, SettingsError, variable

SECRET = "s3cr3t-value"  # made up

DEFAULTS: dict[str, Any] = {
    "CLOPOS_CLIENT_ID": None,
    "CLOPOS_CLIENT_SECRET": None,
    "CLOPOS_BRAND": None,
    "CLOPOS_INTEGRATOR_ID": None,
    "CLOPOS_VENUE_IDS": None,
    "CLOPOS_BASE_URL": "https://integrations.clopos.com/open-api",
    "CLOPOS_API_VERSION": "v2",
    "CLOPOS_START_DATE": date(2025, 1, 1),
    "CLOPOS_TIMEZONE": ZoneInfo("Asia/Baku"),
    "CLOPOS_SHIFT_END": time(6, 0),
    "CLOPOS_LIST_DAYS_BEFORE": 2,
    "CLOPOS_LIST_DAYS_AFTER": 1,
    "CLOPOS_REQUESTS_PER_WINDOW": 300,
    "CLOPOS_WINDOW_SECONDS": 60.0,
    "CLOPOS_POLL_SECONDS": 300,
    "CLOPOS_SWEEP_DAYS": 14,
    "CLOPOS_ALLOW_MASS_REMOVAL": False,
    "CLOPOS_PERSONAL_DATA": "keep",
    "CLOPOS_MONEY_TOLERANCE": Decimal("0.01"),
    "CLOPOS_QUANTITY_TOLERANCE": Decimal("0.000001"),
    "CLOPOS_COST_UNIT": Decimal("0.01"),
    "CLOPOS_STANDARD_DAYS": 28,
}
WITHOUT_DEFAULT_HERE = {"CLOPOS_LAKE"}

GOOD: list[tuple[str, str, Any]] = [
    ("CLOPOS_CLIENT_ID", "client", "client"),
    ("CLOPOS_BRAND", "openapitest", "openapitest"),
    ("CLOPOS_INTEGRATOR_ID", "integrator", "integrator"),
    ("CLOPOS_VENUE_IDS", "all", "all"),
    ("CLOPOS_VENUE_IDS", " all ", "all"),
    ("CLOPOS_VENUE_IDS", "1", (1,)),
    ("CLOPOS_VENUE_IDS", " 2,1 , 30 ", (2, 1, 30)),
    ("CLOPOS_BASE_URL", "https://example.com/open-api/", "https://example.com/open-api"),
    ("CLOPOS_BASE_URL", "http://127.0.0.1:8000/open-api", "http://127.0.0.1:8000/open-api"),
    ("CLOPOS_BASE_URL", "http://localhost:8000", "http://localhost:8000"),
    ("CLOPOS_BASE_URL", "http://[::1]:8000", "http://[::1]:8000"),
    ("CLOPOS_API_VERSION", "v2", "v2"),
    ("CLOPOS_API_VERSION", "v1", "v1"),
    ("CLOPOS_LAKE", "/data/lake", Path("/data/lake")),
    ("CLOPOS_BRAND", " brand\n", "brand"),
    ("CLOPOS_LAKE", "s3://bucket", "s3://bucket"),
    ("CLOPOS_LAKE", "s3://my.bucket-1/a_folder=x/lake/", "s3://my.bucket-1/a_folder=x/lake"),
    ("CLOPOS_START_DATE", "2024-02-29", date(2024, 2, 29)),
    ("CLOPOS_TIMEZONE", "Europe/Istanbul", ZoneInfo("Europe/Istanbul")),
    ("CLOPOS_SHIFT_END", "00:00", time(0, 0)),
    ("CLOPOS_SHIFT_END", "23:59", time(23, 59)),
    ("CLOPOS_LIST_DAYS_BEFORE", "0", 0),
    ("CLOPOS_LIST_DAYS_BEFORE", "366", 366),
    ("CLOPOS_LIST_DAYS_AFTER", "0", 0),
    ("CLOPOS_LIST_DAYS_AFTER", "366", 366),
    ("CLOPOS_REQUESTS_PER_WINDOW", "1", 1),
    ("CLOPOS_REQUESTS_PER_WINDOW", "1000000", 1_000_000),
    ("CLOPOS_WINDOW_SECONDS", "0.5", 0.5),
    ("CLOPOS_WINDOW_SECONDS", "86400", 86400.0),
    ("CLOPOS_PERSONAL_DATA", "keep", "keep"),
    ("CLOPOS_PERSONAL_DATA", "hash", "hash"),
    ("CLOPOS_PERSONAL_DATA", "drop", "drop"),
    ("CLOPOS_MONEY_TOLERANCE", "0", Decimal(0)),
    ("CLOPOS_MONEY_TOLERANCE", "1.5", Decimal("1.5")),
    ("CLOPOS_QUANTITY_TOLERANCE", "0.001", Decimal("0.001")),
    ("CLOPOS_COST_UNIT", "0.000001", Decimal("0.000001")),
    ("CLOPOS_STANDARD_DAYS", "1", 1),
    ("CLOPOS_STANDARD_DAYS", "366", 366),
    ("CLOPOS_POLL_SECONDS", "30", 30),
    ("CLOPOS_POLL_SECONDS", "86400", 86_400),
    ("CLOPOS_SWEEP_DAYS", "1", 1),
    ("CLOPOS_SWEEP_DAYS", "366", 366),
    ("CLOPOS_ALLOW_MASS_REMOVAL", "true", True),
    ("CLOPOS_ALLOW_MASS_REMOVAL", "false", False),
]

TAKES = {
    "CLOPOS_CLIENT_ID": "the client id that Clopos gave you",
    "CLOPOS_BRAND": "the brand's name at Clopos",
    "CLOPOS_INTEGRATOR_ID": "the integrator id that Clopos gave you",
    "CLOPOS_VENUE_IDS": "venue ids separated by commas, such as 1,2, or the word all",
    "CLOPOS_BASE_URL": "the API's address without the version: https, or http to this machine only",
    "CLOPOS_API_VERSION": "v1 or v2",
    "CLOPOS_LAKE": "a folder, or an address in an object store such as s3://bucket/lake",
    "CLOPOS_START_DATE": "a date as YYYY-MM-DD, such as 2025-01-01",
    "CLOPOS_TIMEZONE": "a time zone by its IANA name, such as Asia/Baku",
    "CLOPOS_SHIFT_END": "a time of day as HH:MM, such as 06:00",
    "CLOPOS_LIST_DAYS_BEFORE": "a number of days from 0 to 366",
    "CLOPOS_LIST_DAYS_AFTER": "a number of days from 0 to 366",
    "CLOPOS_REQUESTS_PER_WINDOW": "a whole number from 1",
    "CLOPOS_WINDOW_SECONDS": "a number of seconds above 0, such as 60",
    "CLOPOS_POLL_SECONDS": "a whole number of seconds from 30 to 86400",
    "CLOPOS_SWEEP_DAYS": "a number of days from 1 to 366",
    "CLOPOS_ALLOW_MASS_REMOVAL": "true or false",
    "CLOPOS_PERSONAL_DATA": "keep, hash or drop",
    "CLOPOS_MONEY_TOLERANCE": "an amount from 0, such as 0.01",
    "CLOPOS_QUANTITY_TOLERANCE": "a quantity from 0, such as 0.000001",
    "CLOPOS_COST_UNIT": "an amount above 0, such as 0.01",
    "CLOPOS_STANDARD_DAYS": "a number of days from 1 to 366",
}
BAD: dict[str, list[str]] = {
    "CLOPOS_CLIENT_ID": ["a\nb"],
    "CLOPOS_BRAND": ["a\rb"],
    "CLOPOS_INTEGRATOR_ID": ["a\x7fb"],
    "CLOPOS_VENUE_IDS": ["x", "1,x", ",", "1,", "1.5", "0", "-1", "1,1", "all,1", "ALL ", "1;2", "1_2", "+1", "1,٢"],
    "CLOPOS_BASE_URL": [
        "integrations.clopos.com",
        "http://integrations.clopos.com/open-api",
        "ftp://example.com",
        "https://",
        "https:///open-api",
        "https://example.com/#part",
        "http://127.0.0.1.example.com",
        "http://[",
        "https://example.com/open-api/v2",
        "https://example.com/v1/",
        "https://example.com:99999",
        "https://example.com:0",
        "https://integrations..clopos.com",
        "https://...",
        f"https://{'a' * 64}.com",
        "https://exam ple.com",
    ],
    "CLOPOS_API_VERSION": ["v3", "2", "V2"],
    "CLOPOS_LAKE": [
        "file:///data",
        "gs://bucket/lake",
        "S3://bucket",
        "s3://",
        "s3:///lake",
        "s3://bucket//lake",
        "s3://bucket/a/../b",
        "s3://bucket/a*",
        "s3://bucket/a b",
        "s3://bucket/a%20b",
        "s3://bucket/a~b",
        "s3://bucket/über",
        "~nobody-of-this-name/lake",
        "s3://bucket:9000/lake",
    ],
    "CLOPOS_START_DATE": [
        "2025-13-01",
        "2025-02-29",
        "01.02.2025",
        "today",
        "2025-01-01T00:00",
        "20250101",
        "202٥-01-01",
        "0001-01-01",
        "9999-12-31",
    ],
    "CLOPOS_TIMEZONE": ["Asia/Nowhere", "+04:00", "../etc/passwd", "/etc/passwd", "Asia"],
    "CLOPOS_SHIFT_END": ["24:00", "6", "06:00:00", "6 am", "-1:00", "06:60", "06:0٠"],
    "CLOPOS_LIST_DAYS_BEFORE": ["-1", "367", "1.5", "two", "1e2", "1_0"],
    "CLOPOS_LIST_DAYS_AFTER": ["-1", "367", "1.5", "two", "1_0"],
    "CLOPOS_REQUESTS_PER_WINDOW": ["0", "-5", "1.5", "many", "inf", "3_00"],
    "CLOPOS_WINDOW_SECONDS": ["0", "-1", "nan", "inf", "86401", "a minute", "6_0"],
    "CLOPOS_POLL_SECONDS": ["29", "0", "86401", "2.5", "often", "3_00"],
    "CLOPOS_SWEEP_DAYS": ["0", "367", "1.5", "a fortnight", "1_4"],
    "CLOPOS_ALLOW_MASS_REMOVAL": ["maybe", "2", "tru e"],
    "CLOPOS_PERSONAL_DATA": ["no", "Drop", "keep,drop"],
    "CLOPOS_MONEY_TOLERANCE": ["-0.01", "0.0000001", "nan", "inf", "0,01", "1000000", "1_0", "٠.٠١"],
    "CLOPOS_QUANTITY_TOLERANCE": ["-1", "1e-7", "some", "0.0_1"],
    "CLOPOS_COST_UNIT": ["0", "-0.01", "cent", "0.0_1"],
    "CLOPOS_STANDARD_DAYS": ["0", "367", "28.5", "a month", "2_8"],
}
ANY_TEXT = {"CLOPOS_CLIENT_ID", "CLOPOS_CLIENT_SECRET", "CLOPOS_BRAND", "CLOPOS_INTEGRATOR_ID"}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that says nothing about Clopos."""
    for field in Settings.model_fields:
        monkeypatch.delenv(variable(field), raising=False)


def field_of(name: str) -> str:
    return name.removeprefix("CLOPOS_").lower()


def test_every_variable_is_tested_here() -> None:
    declared = {variable(field) for field in Settings.model_fields}
    assert {
        "defaults": DEFAULTS.keys() | WITHOUT_DEFAULT_HERE,
        "good or any": {name for name, *_ in GOOD} | ANY_TEXT,
    } == {
        "defaults": declared,
        "good or any": declared,
    }
    assert BAD.keys() | ANY_TEXT == declared
    assert TAKES.keys() == BAD.keys()


@pytest.mark.parametrize(("name", "default"), DEFAULTS.items())
def test_defaults(name: str, default: object) -> None:
    assert getattr(Settings.read(), field_of(name)) == default


@pytest.mark.parametrize("name", sorted(DEFAULTS.keys() | WITHOUT_DEFAULT_HERE))
def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    unset = Settings.read()
    monkeypatch.setenv(name, "")
    assert Settings.read() == unset


def test_the_lake_is_in_dagster_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    assert Settings.read().lake == tmp_path / "home" / "lake"


@pytest.mark.parametrize("home", [None, ""])
def test_the_lake_is_in_the_current_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: str | None) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    if home is not None:
        monkeypatch.setenv("DAGSTER_HOME", home)
    monkeypatch.chdir(tmp_path)
    assert Settings.read().lake == tmp_path / "lake"


def test_a_lake_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLOPOS_LAKE", "tables/here")
    assert Settings.read().lake == tmp_path / "tables" / "here"
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("CLOPOS_LAKE", "~/lake")
    assert Settings.read().lake == tmp_path / "me" / "lake"


@pytest.mark.parametrize(("name", "text", "expected"), GOOD)
def test_good_values(monkeypatch: pytest.MonkeyPatch, name: str, text: str, expected: object) -> None:
    monkeypatch.setenv(name, text)
    value = getattr(Settings.read(), field_of(name))
    assert value == expected
    assert type(value) is type(expected) or isinstance(value, Path)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BAD.items() for text in texts])
def test_a_malformed_value_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(SettingsError) as caught:
        Settings.read()
    assert str(caught.value) == f"{name} is malformed: it takes {TAKES[name]}, and got {text!r}"


def test_a_value_of_several_lines_stays_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOPOS_START_DATE", "2025-01-01\n2025-01-02")
    with pytest.raises(SettingsError) as caught:
        Settings.read()
    assert "\n" not in str(caught.value)


def test_all_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOPOS_START_DATE", "never")
    monkeypatch.setenv("CLOPOS_TIMEZONE", "nowhere")
    with pytest.raises(SettingsError) as caught:
        Settings.read()
    first, second = str(caught.value).split("; ")
    assert first.startswith("CLOPOS_START_DATE is malformed")
    assert second.startswith("CLOPOS_TIMEZONE is malformed")


def test_a_given_value_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOPOS_BRAND", "from the environment")
    assert Settings.read(brand="given").brand == "given"
    assert Settings.read().brand == "from the environment"


def test_a_given_value_is_checked_too() -> None:
    with pytest.raises(SettingsError, match=r"^CLOPOS_SHIFT_END is malformed: .*, and got '25:00'$"):
        Settings.read(shift_end="25:00")
    with pytest.raises(SettingsError, match=r"^CLOPOS_SHIFTEND is not a setting$"):
        Settings.read(shiftend="06:00")


def test_settings_do_not_change() -> None:
    settings = Settings.read()
    with pytest.raises(ValueError, match="frozen"):
        settings.brand = "another"


@pytest.fixture
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in CREDENTIALS:
        monkeypatch.setenv(variable(field), SECRET if "secret" in field else field)


@pytest.mark.usefixtures("_credentials")
def test_credentials_are_handed_out_in_order() -> None:
    settings = Settings.read()
    assert settings.missing_credentials() == []
    assert settings.require_credentials() == ("client_id", SECRET, "brand", "integrator_id")


ADVICE = "set the credentials that Clopos gave you, or run `clopos-assets sandbox` for some that work on this machine"


@pytest.mark.usefixtures("_credentials")
@pytest.mark.parametrize("field", CREDENTIALS)
@pytest.mark.parametrize("empty", [True, False])
def test_a_missing_credential_is_named(monkeypatch: pytest.MonkeyPatch, field: str, empty: bool) -> None:
    if empty:
        monkeypatch.setenv(variable(field), "")
    else:
        monkeypatch.delenv(variable(field))
    settings = Settings.read()
    assert settings.missing_credentials() == [variable(field)]
    with pytest.raises(SettingsError) as caught:
        settings.require_credentials()
    assert str(caught.value) == f"{variable(field)} is not set: {ADVICE}"


@pytest.fixture
def _v1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOPOS_API_VERSION", "v1")
    for field in ("client_id", "client_secret", "brand"):
        monkeypatch.setenv(variable(field), SECRET if "secret" in field else field)
    monkeypatch.setenv("CLOPOS_VENUE_IDS", "1,2")


@pytest.mark.usefixtures("_v1")
def test_v1_knows_no_integrator(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.read().missing_credentials() == []
    assert Settings.read().require_credentials() == ("client_id", SECRET, "brand", "")
    monkeypatch.setenv("CLOPOS_INTEGRATOR_ID", "integrator")
    assert Settings.read().require_credentials() == ("client_id", SECRET, "brand", "")


@pytest.mark.usefixtures("_v1")
@pytest.mark.parametrize("field", CREDENTIALS_V1)
def test_what_v1_needs_is_named(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    monkeypatch.delenv(variable(field))
    settings = Settings.read()
    assert settings.missing_credentials() == [variable(field)]
    with pytest.raises(SettingsError) as caught:
        settings.require_credentials()
    venues = ", CLOPOS_VENUE_IDS by id, such as 1,2 (v1 needs them named)"
    advice = ADVICE.replace(", or", f"{venues}, or") if field == "venue_ids" else ADVICE
    assert str(caught.value) == f"{variable(field)} is not set: {advice}"


@pytest.mark.usefixtures("_v1")
def test_v1_does_not_list_venues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOPOS_VENUE_IDS", "all")
    with pytest.raises(SettingsError) as caught:
        Settings.read()
    assert str(caught.value) == (
        "CLOPOS_VENUE_IDS is all, which CLOPOS_API_VERSION=v1 can't list: name the venues by id, such as 1,2"
    )


@pytest.mark.usefixtures("_v1")
def test_v1_has_a_quota_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.read()
    assert (settings.requests_per_window, settings.window_seconds) == (100, 60)
    monkeypatch.setenv("CLOPOS_REQUESTS_PER_WINDOW", "250")
    assert Settings.read().requests_per_window == 250


def test_all_missing_credentials_are_named_in_order() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.read().require_credentials()
    assert str(caught.value) == (
        f"CLOPOS_CLIENT_ID, CLOPOS_CLIENT_SECRET, CLOPOS_BRAND, CLOPOS_INTEGRATOR_ID are not set: {ADVICE}"
    )


@pytest.mark.usefixtures("_credentials")
def test_the_secret_is_in_no_text_of_the_settings() -> None:
    settings = Settings.read()
    texts = [
        repr(settings),
        str(settings),
        str(settings.model_dump()),
        settings.model_dump_json(include={"client_secret"}),
    ]
    assert [text for text in texts if SECRET in text] == []


@pytest.mark.usefixtures("_credentials")
def test_the_secret_is_in_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOPOS_START_DATE", "never")
    with pytest.raises(SettingsError) as caught:
        Settings.read()
    assert caught.value.__cause__ is None
    assert SECRET not in repr(caught.getrepr(style="long", showlocals=False))
    monkeypatch.delenv("CLOPOS_START_DATE")
    with pytest.raises(SettingsError) as caught:
        Settings.read(client_secret=["not", SECRET])
    assert str(caught.value) == (
        "CLOPOS_CLIENT_SECRET is malformed: it takes the client secret that Clopos gave you, "
        "and got a value that is not shown"
    )
    # Nor in what it was made from, which a debugger or an error tracker shows.
    assert SECRET not in str(caught.value.__context__)


@pytest.mark.parametrize(
    "address", [f"https://user:{SECRET}@example.com/open-api", f"https://example.com/open-api?key={SECRET}"]
)
def test_a_secret_in_an_address_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("CLOPOS_BASE_URL", address)
    with pytest.raises(SettingsError, match=r"^CLOPOS_BASE_URL is malformed") as caught:
        Settings.read()
    assert SECRET not in str(caught.value)


def test_a_malformed_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOPOS_CLIENT_SECRET", "made\tup")
    with pytest.raises(SettingsError) as caught:
        Settings.read()
    assert str(caught.value) == (
        "CLOPOS_CLIENT_SECRET is malformed: it takes the client secret that Clopos gave you, "
        "and got a value that is not shown"
    )
