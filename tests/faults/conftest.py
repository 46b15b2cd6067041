"""A restaurant served under each version, and what a run without faults makes of it."""

from collections.abc import Iterator

import pytest

from clopos_assets.sandbox import Fault
from tests.faults.restaurant import Site, Truth, hasty, history, morning_after, served


@pytest.fixture(scope="module", params=["v2", "v1"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Truth]:
    past = history(receipts_per_day=5)
    past.advance(morning_after(5))
    with hasty(), served(past) as sandbox:
        site = Site.at(tmp_path_factory.mktemp("truth"), sandbox, request.param)
        assert site.make() == {}
        truth = Truth(request.param, sandbox, site.rows(), site.asked())
        assert truth.asked["list"] == 2
        assert truth.asked["operations"] > 20
        yield truth


@pytest.fixture
def truth(whole: Truth) -> Truth:
    whole.sandbox.reset()
    return whole


@pytest.fixture(autouse=True)
def _hasty(request: pytest.FixtureRequest) -> Iterator[None]:
    named = request.node.callspec.params.get("fault") if hasattr(request.node, "callspec") else None
    with hasty(named if isinstance(named, Fault) else None):
        yield
