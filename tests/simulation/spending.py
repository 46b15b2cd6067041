"""What runs of the sensor cost beyond list pages, and the least that they could have cost."""

from collections import Counter

from clopos_assets.ingest.versions import read_versions
from clopos_assets.lake import Lake
from clopos_assets.sandbox.requests import RequestLog
from clopos_assets.tables import STOCK_OPERATIONS
from tests.simulation.machinery import Ordered

_BY_ID = "/v2/receipts/{id}"
_OPERATIONS = "/v2/receipts/{id}/stock-operations"


class Spending:
    """Counts requests by id and for operations that sensor runs which succeeded made; and the least: one request
    for every receipt whose operations are those of another version than before.
    """

    def __init__(self, lake: Lake, requests: RequestLog) -> None:
        self.counts: Counter[str] = Counter()
        self._lake = lake
        self._requests = requests
        self._asked = 0
        self._versions: dict[str, dict[int, bytes]] = {}

    def begin(self, ordered: Ordered) -> None:
        if ordered.origin == "sensor":
            self._asked, self._versions = self._count(), self._read()

    def end(self, ordered: Ordered) -> None:
        if ordered.origin == "sensor" and ordered.state == "succeeded":
            now = self._read()
            known = {pair for versions in self._versions.values() for pair in versions.items()}
            fresh = {pair for versions in now.values() for pair in versions.items()} - known
            self.counts["sensor runs"] += 1
            self.counts["requests of sensor runs"] += self._count() - self._asked
            self.counts["least requests of sensor runs"] += len(fresh)

    def _count(self) -> int:
        return self._requests.count("GET", _BY_ID) + self._requests.count("GET", _OPERATIONS)

    def _read(self) -> dict[str, dict[int, bytes]]:
        days = self._lake.dates(STOCK_OPERATIONS)
        return {day: read_versions(self._lake.notes(STOCK_OPERATIONS, day)) for day in days}
