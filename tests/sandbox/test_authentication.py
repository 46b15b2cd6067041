"""`POST /v2/auth` and `x-token`, with every failure the vendor names."""

import time

import pytest

from clopos_assets.sandbox import World
from clopos_assets.sandbox.tokens import ExpiredTokenError, InvalidTokenError, Tokens

from .asking import Asker


def test_success_has_the_documented_fields(asker: Asker) -> None:
    before = int(time.time())
    answer = asker.authenticate()
    after = int(time.time())
    body = answer.json
    assert answer.status == 200
    assert list(body) == ["success", "token", "token_type", "expires_in", "expires_at", "message"]
    assert (body["success"], body["token_type"], body["expires_in"]) == (True, "Bearer", 3600)
    assert before + 3600 <= body["expires_at"] <= after + 3600
    assert body["token"].count(".") == 2


@pytest.mark.parametrize("field", ["client_id", "client_secret", "brand", "integrator_id"])
@pytest.mark.parametrize("value", [None, "", 5])
def test_a_missing_field_is_a_bad_request(asker: Asker, field: str, value: object) -> None:
    answer = asker.authenticate(**{field: value})
    assert answer.status == 400
    assert answer.json["success"] is False
    assert answer.json["error"] == "Missing client_id, client_secret, brand, or integrator_id"


@pytest.mark.parametrize("body", ["", "not json", "[]", "null"])
def test_a_body_that_is_no_object_is_a_bad_request(asker: Asker, body: str) -> None:
    answer = asker.send("POST", "/open-api/v2/auth", {}, body)
    assert (answer.status, answer.json["success"]) == (400, False)


@pytest.mark.parametrize("field", ["client_id", "client_secret", "brand"])
def test_wrong_credentials_are_unauthorized_with_a_message_alone(asker: Asker, field: str) -> None:
    answer = asker.authenticate(**{field: "wrong"})
    assert answer.status == 401
    assert set(answer.json) == {"success", "message"}
    assert answer.json["success"] is False


def test_an_unknown_integrator_is_a_bad_request(asker: Asker) -> None:
    answer = asker.authenticate(integrator_id="wrong")
    assert (answer.status, answer.json["error"]) == (400, "Invalid integrator_id")


def test_the_switched_off_module(asker: Asker, vendor_world: World) -> None:
    token = asker.token
    vendor_world.access.client_enabled = False
    answer = asker.authenticate()
    assert (answer.status, answer.json["error"]) == (401, "Client is disabled")
    asker.token = token
    assert asker.get("/v2/venues").json["error"] == "Client is disabled"


def test_a_test_integrator_on_a_production_brand_is_answered_with_200(asker: Asker, vendor_world: World) -> None:
    token = asker.token
    vendor_world.access.brand_is_test = False
    answer = asker.authenticate()
    assert answer.status == 200
    assert answer.json["success"] is False
    assert answer.json["error"] == "Integrator is in test mode. But brand is not in test mode"
    assert "token" not in answer.json
    asker.token = token
    later = asker.get("/v2/receipts")
    assert (later.status, later.json["error"]) == (401, answer.json["error"])


def test_an_integrator_deactivated_under_way(asker: Asker, vendor_world: World) -> None:
    token = asker.token
    vendor_world.access.integrator_active = False
    assert asker.authenticate().status == 400
    asker.token = token
    answer = asker.get("/v2/receipts")
    assert (answer.status, answer.json["error"]) == (401, "Invalid integrator_id")


def test_a_staff_user_without_permission_is_forbidden(asker: Asker, vendor_world: World) -> None:
    vendor_world.access.may_read_receipts = False
    for path in ("/v2/receipts", "/v2/receipts/1", "/v2/receipts/1/stock-operations"):
        answer = asker.get(path)
        assert (answer.status, answer.json["success"]) == (403, False)
    assert asker.get("/v2/venues").status == 200


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "..", "é.é.é"])
def test_a_token_that_is_none_is_invalid(asker: Asker, token: str) -> None:
    asker.token = token
    answer = asker.get("/v2/receipts")
    assert (answer.status, answer.json["error"]) == (401, "Invalid token")


def test_a_changed_token_is_invalid(asker: Asker) -> None:
    head, body, signature = asker.token.split(".")
    asker.token = f"{head}.{body}A.{signature}"
    assert asker.get("/v2/receipts").json["error"] == "Invalid token"


def test_revoked_and_expired_tokens(asker: Asker) -> None:
    assert asker.get("/v2/venues").status == 200
    asker.sandbox.tokens.expire_all()
    expired = asker.get("/v2/venues")
    assert (expired.status, expired.json["error"]) == (401, "Token expired")
    assert expired.json["expires_at"].endswith("Z")
    asker.sandbox.tokens.revoke_all()
    assert asker.get("/v2/venues").json["error"] == "Invalid token"
    asker.token = None
    assert asker.get("/v2/venues").status == 200


def test_a_token_ends_at_its_expires_at() -> None:
    now = 1_767_848_732.0
    tokens = Tokens(clock=lambda: now, lifetime=3600)
    token, expires_at = tokens.issue(brand="b", integrator_id="i", venue_id=1)
    assert expires_at == 1_767_852_332
    now = expires_at - 0.5
    assert tokens.check(token)["venue_id"] == 1
    now = expires_at
    with pytest.raises(ExpiredTokenError) as caught:
        tokens.check(token)
    assert caught.value.expires_at == "2026-01-08T06:05:32Z"
    with pytest.raises(InvalidTokenError):
        tokens.check("")


def test_another_header_than_x_token_does_not_count(asker: Asker) -> None:
    answer = asker.send("GET", "/open-api/v2/receipts", {"Authorization": f"Bearer {asker.token}"})
    assert (answer.status, answer.json["message"]) == (401, "Missing authentication headers")


def test_the_secret_is_in_no_repr(vendor_world: World) -> None:
    assert vendor_world.credentials.client_secret not in repr(vendor_world.credentials)
