"""The status table: one row, one meaning."""

from typing import Any

import pytest

from clopos_assets.clopos.dialect import V1, V2, Dialect
from clopos_assets.clopos.verdict import Kind, Verdict, judge


def _no(error: object, message: str = "") -> dict[str, object]:
    return {"success": False, "error": error, "message": message}


_OK = {"success": True, "data": []}
_ABSENT = _no("not_found", "Receipt not found")

# status, envelope, more arguments, kind, what the text names
_TABLE: list[tuple[int, object, dict[str, object], Kind, tuple[str, ...]]] = [
    (200, _OK, {}, Kind.OK, ()),
    (201, {"success": 1, "data": {}}, {}, Kind.OK, ()),
    (200, {"success": True, "token": "t"}, {}, Kind.OK, ()),
    (200, {"data": [{"id": 1001}]}, {}, Kind.OK, ()),
    (200, {"data": []}, {"one_resource": True}, Kind.OK, ()),
    # success before status
    (
        200,
        _no("Test integrator cannot be used with a production brand"),
        {},
        Kind.FINAL,
        ("Test integrator", "CLOPOS_INTEGRATOR_ID", "CLOPOS_BRAND"),
    ),
    (200, {"success": 0, "error": "Client is disabled"}, {}, Kind.FINAL, ("Client is disabled", "CLOPOS_CLIENT_ID")),
    (200, {"token": "at_live_1", "expires_in": 3600}, {}, Kind.OK, ()),
    (200, {"data": [], "error": ""}, {}, Kind.OK, ()),
    # an error beside data
    (200, {"data": [], "error": "Something broke"}, {"one_resource": True}, Kind.FINAL, ("Something broke",)),
    (200, {"data": [], "error": "Token expired"}, {}, Kind.REAUTHENTICATE, ("Token expired",)),
    # not as documented
    (200, {"message": "hello"}, {}, Kind.FINAL, ("neither success nor data", "CLOPOS_BASE_URL")),
    (200, {"success": "yes", "data": []}, {}, Kind.FINAL, ("neither success nor data",)),
    (200, [1], {}, Kind.FINAL, ("no object",)),
    (200, "up", {}, Kind.FINAL, ("no object",)),
    # not JSON
    (200, None, {"content_type": "text/html; charset=utf-8"}, Kind.RETRY, ("HTTP 200", "text/html")),
    (200, None, {}, Kind.RETRY, ("not whole JSON",)),
    (204, None, {}, Kind.RETRY, ("204",)),
    # redirects
    (301, None, {"redirect_host": "elsewhere.example"}, Kind.FINAL, ("elsewhere.example", "CLOPOS_BASE_URL")),
    (302, _OK, {}, Kind.FINAL, ("not followed",)),
    (308, None, {}, Kind.FINAL, ("not followed",)),
    # 400
    (400, _no("invalid_parameter", "sort[1] must be 1 or -1"), {}, Kind.FINAL, ("sort[1] must be 1 or -1", "sort")),
    (400, _no("Invalid integrator_id"), {}, Kind.FINAL, ("Invalid integrator_id", "CLOPOS_INTEGRATOR_ID")),
    (400, _no("Invalid brand with this name"), {}, Kind.FINAL, ("CLOPOS_BRAND",)),
    (400, _no("odd"), {"venue_id": 7}, Kind.FINAL, ("venue 7", "CLOPOS_VENUE_IDS")),
    (400, None, {}, Kind.FINAL, ("HTTP 400",)),
    # 401
    (401, _no("Token expired", "x"), {}, Kind.REAUTHENTICATE, ("Token expired",)),
    (401, _no("Invalid token"), {}, Kind.REAUTHENTICATE, ()),
    (401, _no("unauthorized", "Token expired"), {}, Kind.REAUTHENTICATE, ()),
    (401, _no("token_expired"), {}, Kind.REAUTHENTICATE, ()),
    (401, _no("unauthorized", "Token has been expired"), {}, Kind.REAUTHENTICATE, ()),
    (401, _no("unauthorized", "Invalid or expired token"), {}, Kind.REAUTHENTICATE, ()),
    (401, _no("unauthorized", "Invalid or missing token"), {}, Kind.REAUTHENTICATE, ()),
    (401, _no("unauthorized", "Missing authentication headers"), {}, Kind.FINAL, ("Missing", "CLOPOS_BASE_URL")),
    (401, _no("Headers are missing"), {}, Kind.FINAL, ("CLOPOS_BASE_URL",)),
    (401, _no("unauthorized", "Wrong credentials"), {}, Kind.FINAL, ("CLOPOS_CLIENT_ID", "CLOPOS_CLIENT_SECRET")),
    (401, _no("Integrator is disabled"), {}, Kind.FINAL, ("CLOPOS_INTEGRATOR_ID",)),
    (401, _no("Client is disabled"), {}, Kind.FINAL, ("CLOPOS_CLIENT_ID",)),
    (401, _no("Module is switched off"), {}, Kind.FINAL, ("CLOPOS_BRAND",)),
    (401, _no("unauthorized"), {"venue_id": 7}, Kind.FINAL, ("venue 7", "CLOPOS_VENUE_IDS", "CLOPOS_CLIENT_ID")),
    (401, {"message": "Unauthenticated."}, {}, Kind.FINAL, ("Unauthenticated.",)),
    # as the vendor's OpenAPI schema has errors: without `success`
    (401, {"error": "unauthorized", "message": "Token expired"}, {}, Kind.REAUTHENTICATE, ("Token expired",)),
    (404, {"error": "not_found", "message": "No receipt"}, {"one_resource": True}, Kind.ABSENT, ()),
    (404, {"error": "Not Found", "message": "No such page"}, {"one_resource": True}, Kind.FINAL, ("CLOPOS_BASE_URL",)),
    (404, {"error": "not_found", "message": "Route not found"}, {"one_resource": True}, Kind.FINAL, ()),
    (400, {"error": "invalid_parameter", "message": "limit is too large"}, {}, Kind.FINAL, ("limit is not taken",)),
    (400, {"error": "invalid", "details": {"parameter": "limit"}}, {}, Kind.FINAL, ("limit is not taken",)),
    (400, {"error": "invalid", "details": {"parameter": 5}}, {}, Kind.FINAL, ("quoting this line",)),
    (422, {"message": "Invalid.", "errors": {"limit": ["too many"]}}, {}, Kind.FINAL, ("limit is not taken",)),
    (422, {"message": "Invalid.", "errors": ["limit"]}, {}, Kind.FINAL, ("quoting this line",)),
    (500, {"error": "internal", "message": "oops"}, {"one_resource": True}, Kind.RETRY, ("internal: oops",)),
    # as public clients of v1 know them: a list of objects
    (401, _no([{"message": "Token expired", "code": 1}]), {}, Kind.REAUTHENTICATE, ("Token expired",)),
    (422, _no([{"message": "odd"}, {"message": "very odd"}, 5, {}]), {}, Kind.FINAL, ('"odd; very odd"',)),
    # 403
    (403, _no("forbidden", "No permission"), {}, Kind.FINAL, ("No permission", "receipts:read")),
    (403, _no("forbidden"), {"venue_id": 7}, Kind.FINAL, ("venue 7", "CLOPOS_VENUE_IDS")),
    (403, None, {"content_type": "text/html"}, Kind.FINAL, ("receipts:read",)),
    # 404
    (404, _ABSENT, {"one_resource": True}, Kind.ABSENT, ()),
    (404, _ABSENT, {"one_resource": True, "venue_id": 7}, Kind.ABSENT, ()),
    (404, _ABSENT, {}, Kind.FINAL, ("CLOPOS_BASE_URL",)),
    (404, _no("not_found", "Venue not found"), {"venue_id": 7}, Kind.FINAL, ("venue 7", "CLOPOS_VENUE_IDS")),
    (404, _no("not_found", "Venue not found"), {"one_resource": True, "venue_id": 7}, Kind.FINAL, ("venue 7",)),
    (404, _no("not_found", "Brand not found"), {"one_resource": True}, Kind.FINAL, ("CLOPOS_BRAND",)),
    (404, _no("not_found", "No such receipt in this venue"), {"one_resource": True}, Kind.ABSENT, ()),
    (
        404,
        _no("not_found", "No route receipts/5"),
        {"one_resource": True},
        Kind.FINAL,
        ("CLOPOS_BASE_URL",),
    ),
    (404, _no("not_found", "The route x could not be found"), {"one_resource": True}, Kind.FINAL, ("CLOPOS_BASE_URL",)),
    (404, None, {"one_resource": True, "content_type": "text/html"}, Kind.FINAL, ("CLOPOS_BASE_URL",)),
    (404, {"message": "Not found"}, {"one_resource": True}, Kind.FINAL, ("CLOPOS_BASE_URL",)),
    (404, {"data": [], "total": 0}, {}, Kind.FINAL, ("HTTP 404",)),
    (404, {"success": True, "data": {}}, {"one_resource": True}, Kind.FINAL, ("CLOPOS_BASE_URL",)),
    (407, None, {}, Kind.FINAL, ("HTTPS_PROXY",)),
    (422, _no("validation_failed", "date is wrong"), {}, Kind.FINAL, ("date",)),
    # again
    (408, None, {}, Kind.RETRY, ()),
    (429, _no("limit"), {}, Kind.RETRY, ("429",)),
    (429, None, {}, Kind.RETRY, ("429",)),
    (500, _no("Server error"), {}, Kind.RETRY, ("Server error",)),
    (500, _OK, {}, Kind.RETRY, ("500",)),
    (502, None, {"content_type": "text/html"}, Kind.RETRY, ("502", "text/html")),
    (503, None, {}, Kind.RETRY, ()),
    (504, _no("timeout"), {"one_resource": True}, Kind.RETRY, ("504",)),
    (520, None, {}, Kind.RETRY, ()),
]


def _judge(status: int, envelope: object, more: dict[str, Any]) -> Verdict:
    return judge(status, envelope, **more)


@pytest.mark.parametrize(("status", "envelope", "more", "kind", "names"), _TABLE)
def test_status_table(status: int, envelope: object, more: dict[str, Any], kind: Kind, names: tuple[str, ...]) -> None:
    verdict = _judge(status, envelope, more)
    assert verdict.kind is kind
    for name in names:
        assert name in verdict.text
    assert len(verdict.text.splitlines()) <= 1


@pytest.mark.parametrize(
    ("status", "reset", "retry_after", "wait"),
    [
        (429, 17.0, None, 17.0),
        (429, 3.0, 9.0, 9.0),
        (429, None, None, 0.0),
        (503, 17.0, None, 0.0),
        (503, 1.0, 5.0, 5.0),
    ],
)
def test_least_wait(status: int, reset: float | None, retry_after: float | None, wait: float) -> None:
    assert judge(status, None, rate_limit_reset=reset, retry_after=retry_after).wait_seconds == wait


@pytest.mark.parametrize(
    ("message", "parameter"),
    [
        ("limit must not exceed 100", "limit"),
        ("The limit may not be greater than 50.", "limit"),
        ("with[0] is unknown", "with"),
        ("per_page must not be greater than 100", "limit"),
        ("pageSize is too large", "limit"),
        ("page_size is too large", "limit"),
        ("Invalid sort_by: id", "sort"),
        ("Maximum page limit is 100", "limit"),
        ("The per-page limit may not be greater than 100", "limit"),
        ("limit: at most 100 for one page", "limit"),
        ("Too many receipts per page", "page"),
        ("The date range is over the limit", "date"),
        ("Unlimited nonsense", None),
    ],
)
def test_a_refused_parameter_is_named(message: str, parameter: str | None) -> None:
    assert judge(400, _no("invalid_parameter", message)).parameter == parameter


@pytest.mark.parametrize("dialect", [V1, V2], ids=["v1", "v2"])
def test_credentials_that_are_not_taken_may_be_any_of_them(dialect: Dialect) -> None:
    text = judge(401, _no("Invalid client credentials"), credentials=dialect.variables).text
    assert text == f'HTTP 401 "Invalid client credentials"; check {dialect.variables}'
    assert "CLOPOS_BRAND" in text
    assert ("CLOPOS_INTEGRATOR_ID" in text) == (dialect is V2)


@pytest.mark.parametrize(
    ("status", "envelope", "is_so"),
    [
        (200, None, True),
        (204, None, True),
        (404, None, False),
        (429, None, False),
        (502, None, False),
        (200, _OK, False),
        (200, _no("x"), False),
    ],
)
def test_what_looks_like_another_servers_answer(status: int, envelope: object, is_so: bool) -> None:
    assert judge(status, envelope).maybe_elsewhere == is_so


def test_undocumented_json_is_told_from_a_refusal() -> None:
    assert judge(200, {"hello": 1}).undocumented
    assert not judge(400, _no("x")).undocumented


def test_long_and_broken_words_become_one_short_line() -> None:
    text = judge(400, _no("first\nsecond\x1b[31m\r\n" + "x" * 5000)).text
    assert text.isprintable()
    assert 'HTTP 400 "first second [31m xx' in text
    assert len(text) < 600
