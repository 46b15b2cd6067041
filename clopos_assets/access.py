"""How a process of this project reaches Clopos and the lake: made from the settings, shared by all its assets.

The quota and the token live here, longer than one run's event loop, so that the steps of a run and the ticks
of a sensor in one process spend from one window and authenticate once.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property

from clopos_assets.clopos.client import Clopos, Connection
from clopos_assets.clopos.quota import Quota
from clopos_assets.clopos.token import TokenCache
from clopos_assets.compute import Rules
from clopos_assets.ingest import Scope
from clopos_assets.lake import Lake
from clopos_assets.settings import Settings
from clopos_assets.tables.privacy import Privacy, derive_key


class Access:
    """The lake, and a client for Clopos when credentials are set."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lake = Lake(settings.lake)
        self.quota = Quota(settings.requests_per_window, settings.window_seconds)
        self._tokens = TokenCache()

    @property
    def scope(self) -> Scope:
        """What the settings say is to be read. Raises SettingsError where a credential is missing."""
        return Scope(
            venue_ids=self.settings.venue_ids,
            days_before=self.settings.list_days_before,
            days_after=self.settings.list_days_after,
            zone=self.settings.timezone,
            allow_mass_removal=self.settings.allow_mass_removal,
            privacy=self.privacy,
            brand=self.settings.brand,
            clock=lambda: datetime.now(UTC),
        )

    @cached_property
    def privacy(self) -> Privacy:
        """How personal data are stored. Raises SettingsError where a credential is missing."""
        _, client_secret, brand, _ = self.settings.require_credentials()
        return Privacy(self.settings.personal_data, derive_key(client_secret, brand))

    @property
    def rules(self) -> Rules:
        """What the settings say of standards and tolerances."""
        return Rules(
            standard_days=self.settings.standard_days,
            money_tolerance=self.settings.money_tolerance,
            quantity_tolerance=self.settings.quantity_tolerance,
            cost_unit=self.settings.cost_unit,
            shift_end=self.settings.shift_end,
        )

    def clopos(self, on_wait: Callable[[float, str], None] | None = None) -> Clopos:
        """A client for one event loop; `on_wait` is told of waits, in seconds, and why.

        Raises SettingsError where a credential is missing.
        """
        client_id, client_secret, brand, integrator_id = self.settings.require_credentials()
        connection = Connection(
            base_url=self.settings.base_url,
            client_id=client_id,
            client_secret=client_secret,
            brand=brand,
            integrator_id=integrator_id,
        )
        return Clopos(connection, quota=self.quota, tokens=self._tokens, on_wait=on_wait)
