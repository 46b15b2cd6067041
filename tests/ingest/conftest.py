from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ingest.shop import Shop, open_shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop of one venue that sold two receipts on the 19th and one on the 20th."""
    with open_shop(tmp_path) as shop:
        shop.sell(1, "2026-01-19")
        shop.sell(2, "2026-01-19")
        shop.sell(3, "2026-01-20")
        yield shop
