"""The doctor for a brand on v1: no integrator, named venues with a token each, other headers of the quota."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clopos_assets.sandbox import LimitOptions, Sandbox, World
from clopos_assets.settings import Settings, variable
from tests.doctor.test_doctor import LINES, examined, wrong
from tests.ingest.shop import NOW

ASKED = ["authentication", "venues", "receipts", "quota"]


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Twelve venues, of which the environment names the first two; everything is in order."""
    for field in Settings.model_fields:
        monkeypatch.delenv(variable(field), raising=False)
    venues: list[dict[str, object]] = [{"id": i, "name": f"Filial {i}", "is_main": int(i == 1)} for i in range(1, 13)]
    (tmp_path / "home").mkdir()
    with Sandbox(World(venues, now=NOW), limits=LimitOptions()) as sandbox:
        for name, value in sandbox.settings("v1").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CLOPOS_LAKE", str(tmp_path / "lake"))
        monkeypatch.setenv("CLOPOS_VENUE_IDS", "1,2")
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
        yield sandbox


def test_all_is_well(sandbox: Sandbox) -> None:
    found = examined()
    assert list(found) == LINES
    assert wrong(found) == []
    assert "venues 1, 2, API v1" in found["settings"].text
    assert found["venues"].text == "1, 2 are read"
    assert found["quota"].text.startswith("99 of 100 requests left")
    assert found["quota"].text.endswith("CLOPOS_REQUESTS_PER_WINDOW is 100")
    assert sandbox.requests.counts() == {("POST", "/auth"): 2, ("GET", "/receipts"): 1}


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("named", ["1,99", "99,1", "1,98,99"])
def test_a_venue_of_others_is_named_wherever_it_stands(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv("CLOPOS_VENUE_IDS", named)
    found = examined()
    assert wrong(found) == ["venues"]
    strangers = [number for number in named.split(",") if number != "1"]
    assert found["venues"].text.startswith(f"{', '.join(strangers)} can't be read: ")
    for stranger in strangers:
        assert f"check that venue {stranger} in CLOPOS_VENUE_IDS is one of the brand's" in found["venues"].text


@pytest.mark.usefixtures("sandbox")
def test_where_no_venue_is_the_brands_nothing_else_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOPOS_VENUE_IDS", "98,99")
    found = examined()
    assert wrong(found) == ASKED
    assert "venue 98 in CLOPOS_VENUE_IDS" in found["authentication"].text


def test_of_many_venues_the_first_are_tried(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOPOS_VENUE_IDS", ",".join(map(str, range(1, 13))))
    found = examined()
    assert found["venues"].text == "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 are read, 2 more are not tried"
    assert sandbox.requests.count("POST", "/auth") == 10


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("name", ["CLOPOS_CLIENT_ID", "CLOPOS_CLIENT_SECRET", "CLOPOS_BRAND"])
def test_a_refusal_names_its_cause(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "wr0ng-value")
    found = examined()
    assert wrong(found) == ASKED
    assert found["authentication"].text.startswith("POST /auth: HTTP 401")
    assert found["venues"].text == "not looked at: mend authentication first"


def test_venues_that_are_not_named_are_a_missing_credential(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLOPOS_VENUE_IDS")
    found = examined()
    assert found["credentials"].text.startswith("CLOPOS_VENUE_IDS is not set")
    assert not sandbox.requests.counts()


@pytest.mark.usefixtures("sandbox")
def test_all_venues_can_not_be_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOPOS_VENUE_IDS", "all")
    assert "name the venues by id" in examined()["settings"].text


def test_a_client_that_is_switched_off_is_told(sandbox: Sandbox) -> None:
    sandbox.world.access.client_enabled = False
    found = examined()
    assert wrong(found) == ASKED
    assert "POST /auth: HTTP 401" in found["authentication"].text


def test_receipts_that_may_not_be_read_are_told(sandbox: Sandbox) -> None:
    sandbox.world.access.may_read_receipts = False
    found = examined()
    assert wrong(found) == ["receipts", "quota"]
    assert "GET /receipts (venue 2): HTTP 403" in found["receipts"].text
