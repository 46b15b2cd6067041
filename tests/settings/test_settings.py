"""Every variable: its default, what it takes, what it refuses and in which words; and no secret in any of them."""

import re
from pathlib import Path

import pytest

from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.errors import CloposRefusedError
from clopos_assets.settings import CREDENTIALS, CREDENTIALS_V1, Settings, SettingsError, unknown_variables, variable
from tests.settings.values import BAD, DEFAULTS, GOOD, TAKES, WITHOUT_DEFAULT_HERE

SECRET = "s3cr3t-value"  # made up
DEPLOYMENT = Path(__file__).parents[2] / "dagster_home"

NEVER_SHOWN = {"CLOPOS_CLIENT_SECRET"}  # with tests of its own below


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
        "good": {name for name, *_ in GOOD} | NEVER_SHOWN,
    } == {
        "defaults": declared,
        "good": declared,
    }
    assert BAD.keys() | NEVER_SHOWN == declared
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


def test_names_in_small_letters_are_taken_and_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("clopos_poll_seconds", "abc")
    with pytest.raises(SettingsError, match=r"^CLOPOS_POLL_SECONDS is malformed: .*, and got 'abc'$"):
        Settings.read()


def test_a_given_value_is_checked_too() -> None:
    with pytest.raises(SettingsError, match=r"^CLOPOS_SHIFT_END is malformed: .*, and got '25:00'$"):
        Settings.read(shift_end="25:00")
    with pytest.raises(SettingsError, match=r"^CLOPOS_SHIFTEND is not a setting$"):
        Settings.read(shiftend="06:00")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CLOPOS_PERSONNAL_DATA", "CLOPOS_PERSONAL_DATA"),
        ("CLOPOS_PERSONALDATA", "CLOPOS_PERSONAL_DATA"),
        ("CLOPOS_START_DTAE", "CLOPOS_START_DATE"),
        ("CLOPOS_STARTDATE", "CLOPOS_START_DATE"),
        ("CLOPOS_VENUES", "CLOPOS_VENUE_IDS"),
        ("CLOPOS_VENUE_ID", "CLOPOS_VENUE_IDS"),
        ("CLOPOS_LAEK", "CLOPOS_LAKE"),
        ("CLOPOS_LAK", "CLOPOS_LAKE"),
        ("CLOPOS_BRRAND", "CLOPOS_BRAND"),
        ("CLOPOS_TIME_ZONE", "CLOPOS_TIMEZONE"),
        ("CLOPOS_CLIENT", "CLOPOS_CLIENT_ID"),
        ("CLOPOS_CLIENT_SECERT", "CLOPOS_CLIENT_SECRET"),
        ("CLOPOS_SWEEP_DAY", "CLOPOS_SWEEP_DAYS"),
        ("clopos_shiftend", "CLOPOS_SHIFT_END"),
    ],
)
def test_a_misspelled_name_is_refused_without_its_value(monkeypatch: pytest.MonkeyPatch, name: str, meant: str) -> None:
    monkeypatch.setenv(name, SECRET)
    with pytest.raises(SettingsError) as caught:
        Settings.read()
    assert str(caught.value) == f"{name} is not a setting: did you mean {meant}?"


@pytest.mark.parametrize("field", Settings.model_fields)
def test_a_letter_too_few_or_too_many_or_two_exchanged_is_found(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    right = field.upper()
    names = {
        wrong
        for at in range(len(right))
        for wrong in (
            right[:at] + right[at + 1 :],
            right[: at + 1] + right[at:],
            right[:at] + right[at + 1 : at + 2] + right[at] + right[at + 2 :],
        )
    } - {right}
    for name in names:
        monkeypatch.setenv(f"CLOPOS_{name}", "1")
    assert unknown_variables() == {f"CLOPOS_{name}": variable(field) for name in names}


def test_misspelled_and_malformed_are_said_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOPOS_VENUES", "1")
    monkeypatch.setenv("CLOPOS_START_DATE", "never")
    with pytest.raises(SettingsError, match=r"^CLOPOS_VENUES is not .*\?; CLOPOS_START_DATE is malformed: "):
        Settings.read()


def test_a_misspelled_name_without_a_value_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    unset = Settings.read()
    monkeypatch.setenv("CLOPOS_VENUES", "")
    assert Settings.read() == unset
    assert unknown_variables() == {}


def test_a_setting_in_small_letters_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("clopos_brand", "small")
    assert Settings.read().brand == "small"
    assert unknown_variables() == {}


@pytest.mark.parametrize(
    "service", ["", "ASSETS_", "API_", "BRAND_", "CLIENT_", "INTEGRATOR_", "LAKE_", "SHIFT_", "START_", "TIMEZONE_"]
)
def test_what_kubernetes_makes_of_a_services_name_is_left_alone(monkeypatch: pytest.MonkeyPatch, service: str) -> None:
    unset = Settings.read()
    of_port = [f"PORT_80_TCP{end}" for end in ("", "_PROTO", "_PORT", "_ADDR")]
    parts = ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", *of_port]
    names = [f"CLOPOS_{service}{part}" for part in parts]
    for name in names:
        monkeypatch.setenv(name, "tcp://10.0.0.1:80")
    assert Settings.read() == unset
    assert unknown_variables() == dict.fromkeys(sorted(names))


@pytest.mark.parametrize(
    "name",
    [
        *("CLOPOS_VERSION", "CLOPOS_IMAGE", "CLOPOS_TAG", "CLOPOS_LOG_LEVEL", "CLOPOSX_BRAND"),
        *("CLOPOS_BRAND_2", "CLOPOS_CLIENT_SECRET_V1", "CLOPOS_START_DATE_OLD", "CLOPOS_WINDOW_SECONDS_PORT"),
    ],
)
def test_other_names_are_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    Settings.read()
    assert unknown_variables().get(name) is None


def test_what_the_homes_set_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [path for path in DEPLOYMENT.rglob("*") if path.is_file()]
    names = {name for path in files for name in re.findall(r"\bCLOPOS_\w+\b", path.read_text(encoding="utf-8"))}
    assert {"CLOPOS_CLIENT_ID", "CLOPOS_VENUE_IDS", "CLOPOS_LAKE"} <= names
    for name in names:
        monkeypatch.setenv(name, "1")
    assert [name for name, meant in unknown_variables().items() if meant is not None] == []


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
ADVICE_V1 = "name the venues in CLOPOS_VENUE_IDS by id, such as 1,2, because v1 can't list them"


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
    advice = ADVICE_V1 if field == "venue_ids" else ADVICE
    assert str(caught.value) == f"{variable(field)} is not set: {advice}"


@pytest.mark.usefixtures("_v1")
def test_credentials_and_venues_that_v1_needs_have_advice_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLOPOS_BRAND")
    monkeypatch.delenv("CLOPOS_VENUE_IDS")
    with pytest.raises(SettingsError) as caught:
        Settings.read().require_credentials()
    assert str(caught.value) == f"CLOPOS_BRAND, CLOPOS_VENUE_IDS are not set: {ADVICE}; {ADVICE_V1}"


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


@pytest.mark.parametrize("address", [*BAD["CLOPOS_BASE_URL"], "https://@example.com", "https://example.com/open-api?"])
def test_what_is_refused_here_the_client_refuses_too(address: str) -> None:
    with pytest.raises(CloposRefusedError, match=r"^CLOPOS_BASE_URL .*: it takes an address such as"):
        Connection(address, "id", "secret", "brand")
    with pytest.raises(SettingsError, match=r"^CLOPOS_BASE_URL is malformed"):
        Settings.read(base_url=address)
