"""Two dates apart, the second of which is changed while the first is made, and can't be listed itself."""

from datetime import date

from starlette.requests import Request
from starlette.responses import Response

from tests.ingest.shop import Shop


def test_a_date_that_can_not_be_listed_is_not_made_by_what_another_took_from_it(shop: Shop) -> None:
    shop.sell(5, "2026-01-23")
    shop.make("2026-01-19", "2026-01-23")
    shop.sell(6, "2026-01-23")
    shop.world.move_receipt(5, date(2026, 1, 19))
    shop.world.update_receipt(5, created_at="2026-01-19 10:00:00")
    lists = iter(range(9))

    async def instead(request: Request) -> Response | None:
        if request.url.path.endswith("/receipts") and next(lists) > 0:
            return Response("{}", media_type="application/json")
        return None

    shop.sandbox.hooks.answer_instead = instead
    made = shop.make_receipts("2026-01-19", "2026-01-23")
    assert shop.stands(6)["receipts"] == []
    assert "2026-01-23" in made.bad, made.facts
