"""`clopos-assets doctor`: each line ok or what to do, on a served sandbox; no secret, no endless wait."""

import asyncio
import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from starlette.requests import Request
from starlette.responses import Response

from clopos_assets.doctor import Finding, examine, show
from clopos_assets.lake import Lake
from clopos_assets.origin import SCHEMA_VERSION, sign
from clopos_assets.sandbox import Sandbox
from clopos_assets.settings import Settings
from tests.system.processes import environment, run

OF_INSTANCE = ["instance", "sharing", "logs"]
LINES = ["settings", "credentials", "authentication", "venues", "receipts", "quota", "lake", *OF_INSTANCE]


def examined(seconds: float = 60) -> dict[str, Finding]:
    findings, _ = examine(seconds)
    assert [finding.text for finding in findings if "\n" in finding.text] == []
    return {finding.what: finding for finding in findings}


def wrong(found: dict[str, Finding]) -> list[str]:
    return [what for what, finding in found.items() if not finding.is_ok]


@pytest.mark.usefixtures("sandbox")
def test_all_is_well(tmp_path: Path) -> None:
    found = examined()
    assert list(found) == LINES
    assert wrong(found) == []
    assert found["venues"].text == "all are read: 1 Filial 1, 2 Filial 2"
    assert found["quota"].text.startswith("298 of 300 requests left")
    assert found["lake"].text == f"{tmp_path}/lake can be written: no shift dates yet, schema {SCHEMA_VERSION}"
    assert found["instance"].text == f"SQLite in {tmp_path}/home, for one machine: 0 runs recorded"
    assert found["sharing"].text == f"runs share quota and token in {tmp_path}/home/clopos_shared"
    assert found["logs"].text == f"of processes can be written in {tmp_path}/home/storage"
    assert list((tmp_path / "lake").rglob("*.*")) == []


def test_without_credentials_the_rest_is_looked_at(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLOPOS_BRAND")
    found = examined()
    assert list(found) == LINES
    assert wrong(found) == ["credentials", "authentication", "venues", "receipts", "quota"]
    assert found["credentials"].text.startswith("CLOPOS_BRAND is not set")
    assert not sandbox.requests.counts()


@pytest.mark.usefixtures("sandbox")
def test_a_malformed_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOPOS_SHIFT_END", "noon")
    found = examined()
    assert found["settings"].text.startswith("CLOPOS_SHIFT_END is malformed")
    assert wrong(found) == [what for what in found if what not in OF_INSTANCE]


@pytest.mark.usefixtures("sandbox")
def test_a_misspelled_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOPOS_PERSONNAL_DATA", "drop")
    found = examined()
    assert found["settings"].text == "CLOPOS_PERSONNAL_DATA is not a setting: did you mean CLOPOS_PERSONAL_DATA?"
    assert wrong(found) == [what for what in found if what not in OF_INSTANCE]


@pytest.mark.usefixtures("sandbox")
def test_what_is_no_setting_is_named_and_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOPOS_PORT", "tcp://10.0.0.1:80")
    monkeypatch.setenv("CLOPOS_FOO", "bar")
    found = examined()
    assert wrong(found) == []
    assert found["settings"].text.endswith("personal data: keep; not settings: CLOPOS_FOO, CLOPOS_PORT")


@pytest.mark.usefixtures("sandbox")
def test_a_calendar_that_has_not_begun_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOPOS_START_DATE", "8000-02-28")
    found = examined()
    assert wrong(found) == ["settings"]
    assert found["settings"].text == (
        "no shift has ended since CLOPOS_START_DATE, 8000-02-28, so that there is no shift date to make: "
        "set an earlier one, or wait until 8000-02-29 06:00"
    )


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("CLOPOS_CLIENT_ID", "check CLOPOS_CLIENT_ID"),
        ("CLOPOS_CLIENT_SECRET", "CLOPOS_CLIENT_SECRET"),
        ("CLOPOS_BRAND", "check CLOPOS_"),
        ("CLOPOS_INTEGRATOR_ID", "check CLOPOS_INTEGRATOR_ID"),
    ],
)
def test_a_refusal_names_its_cause(monkeypatch: pytest.MonkeyPatch, name: str, advice: str) -> None:
    monkeypatch.setenv(name, "wr0ng-value")
    found = examined()
    assert wrong(found) == ["authentication", "venues", "receipts", "quota"]
    assert found["authentication"].text.startswith("POST /v2/auth: HTTP 4")
    assert advice in found["authentication"].text
    assert found["venues"].text == "not looked at: mend authentication first"


@pytest.mark.usefixtures("sandbox")
def test_a_venue_of_others_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOPOS_VENUE_IDS", "1,9")
    found = examined()
    assert found["venues"].text == "CLOPOS_VENUE_IDS names 9, and the brand has 1 Filial 1, 2 Filial 2: name those"
    assert wrong(found) == ["venues"]


def _answer_venues(sandbox: Sandbox, venues: list[object], total: int) -> None:
    async def answer(request: Request) -> Response | None:
        if not request.url.path.endswith("/venues"):
            return None
        body = json.dumps({"success": True, "data": venues, "total": total})
        return Response(body, media_type="application/json")

    sandbox.hooks.answer_instead = answer


def test_a_venues_name_is_one_short_line(sandbox: Sandbox) -> None:
    _answer_venues(sandbox, [{"id": 1.0, "name": "First\nsecond\x1b[31m\x00"}, {"id": "2", "name": "x" * 10**5}], 2)
    found = examined()
    assert found["venues"].text == f"all are read: 1 First second [31m, 2 {'x' * 40}…"


@pytest.mark.parametrize(("named", "is_ok"), [("all", False), ("1", True)])
def test_a_venue_without_id_is_told_as_a_run_would(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, named: str, is_ok: bool
) -> None:
    monkeypatch.setenv("CLOPOS_VENUE_IDS", named)
    _answer_venues(sandbox, [{"id": 1, "name": "Filial"}, {"name": "?"}], 2)
    found = examined()
    assert found["venues"].is_ok == is_ok
    if not is_ok:
        assert found["venues"].text == "GET /v2/venues names no venues by id: name them in CLOPOS_VENUE_IDS"


def test_a_list_of_venues_that_comes_in_pages_is_not_taken_for_all(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOPOS_VENUE_IDS", "1,2")
    _answer_venues(sandbox, [{"id": 1, "name": "Filial 1"}], 2)
    found = examined()
    assert wrong(found) == []
    assert found["venues"].text == "1, 2 are read; the brand has 1 Filial 1 and 1 more"


def test_receipts_that_may_not_be_read_are_told(sandbox: Sandbox) -> None:
    async def refuse(request: Request) -> Response | None:
        if not request.url.path.endswith("/receipts"):
            return None
        return Response('{"success": false, "error": "forbidden"}', 403, media_type="application/json")

    sandbox.hooks.answer_instead = refuse
    found = examined()
    assert "receipts:read" in found["receipts"].text
    assert found["quota"].text == "not looked at: mend receipts first"


def test_a_new_token_that_is_not_taken_is_told_with_advice(sandbox: Sandbox) -> None:
    sandbox.faults.plan("token-invalid", "/venues")
    found = examined()
    assert wrong(found) == ["venues", "receipts", "quota"]
    assert found["venues"].text.startswith('GET /v2/venues: HTTP 401 "Invalid token')
    assert found["venues"].text.endswith(
        ", also for a token just issued; check that CLOPOS_BASE_URL belongs to CLOPOS_CLIENT_ID, CLOPOS_CLIENT_SECRET, "
        "CLOPOS_BRAND and CLOPOS_INTEGRATOR_ID"
    )


def test_a_used_up_quota_is_told(sandbox: Sandbox) -> None:
    async def spend(request: Request) -> Response | None:
        if not request.url.path.endswith("/receipts"):
            return None
        headers = {"RateLimit-Limit": "300", "RateLimit-Remaining": "0", "RateLimit-Reset": "42"}
        return Response('{"success": true, "data": [], "total": 0}', 200, headers, "application/json")

    sandbox.hooks.answer_instead = spend
    found = examined()
    assert wrong(found) == ["quota"]
    assert found["quota"].text.startswith("0 of 300 requests left, more in 42 s")


@pytest.mark.usefixtures("sandbox")
def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOPOS_BASE_URL", "http://127.0.0.1:9")
    found = examined()
    assert wrong(found) == ["authentication", "venues", "receipts", "quota"]


@pytest.mark.usefixtures("sandbox")
def test_the_lake_of_another_brand_is_told(tmp_path: Path) -> None:
    sign(Lake(tmp_path / "lake"), "another")
    found = examined()
    assert wrong(found) == ["lake"]
    assert "holds the brand 'another'" in found["lake"].text


@pytest.mark.usefixtures("sandbox")
def test_a_lake_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("a file stands in its place")
    found = examined()
    assert wrong(found) == ["lake"]
    assert str(tmp_path / "lake") in found["lake"].text


def test_nothing_is_waited_for_without_end(sandbox: Sandbox) -> None:
    async def hang(request: Request) -> Response | None:
        if request.url.path.endswith("/venues"):
            await asyncio.sleep(3)
        return None

    sandbox.hooks.answer_instead = hang
    findings, is_over = examine(seconds=1.5)
    assert not is_over
    assert "no answer within 2 s: try again later" in [finding.text for finding in findings]


@pytest.mark.usefixtures("sandbox")
def test_no_line_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for secret in (Settings.read().client_secret, None):
        if secret is None:
            monkeypatch.setenv("CLOPOS_CLIENT_SECRET", "an0ther-secret")
        shown = io.StringIO()
        findings, _ = examine()
        show(findings, Console(file=shown, width=1000))
        assert ("an0ther-secret" if secret is None else secret.get_secret_value()) not in shown.getvalue()


def test_the_command_prints_one_table_and_ends_with_1(tmp_path: Path) -> None:
    ended = run(["clopos_assets", "doctor"], environment(CLOPOS_LAKE=str(tmp_path / "lake")))
    assert ended.returncode == 1, ended.stderr
    assert ended.stderr == ""
    for line in LINES:
        assert f"│ {line} " in ended.stdout
    assert "CLOPOS_CLIENT_ID, CLOPOS_CLIENT_SECRET, CLOPOS_BRAND, CLOPOS_INTEGRATOR_ID are not set" in ended.stdout


def test_the_command_ends_with_0_where_all_is_well(sandbox: Sandbox, tmp_path: Path) -> None:
    settings = sandbox.settings() | {"CLOPOS_LAKE": str(tmp_path / "lake"), "DAGSTER_HOME": str(tmp_path / "home")}
    ended = run(["clopos_assets", "doctor"], environment(**settings))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "not ok" not in ended.stdout
