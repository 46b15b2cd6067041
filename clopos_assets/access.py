"""How a process of this project reaches Clopos and the lake: made from the settings, shared by all its assets.

This process's ways to the quota and the token live here, longer than one run's event loop; what they lead to is
shared with other processes through the store that the caller names.
"""

from collections.abc import Callable
from functools import cached_property
from threading import Lock

from clopos_assets.clopos.client import Clopos
from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.dialect import DIALECTS
from clopos_assets.clopos.patience import Patience
from clopos_assets.clopos.quota import Priority, Quota
from clopos_assets.clopos.quotas import Quotas, make_quota
from clopos_assets.clopos.store import MemoryStore, Store, hashed
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
        self._dialect = DIALECTS[settings.api_version]
        self._lock = Lock()
        self._own_store = MemoryStore()
        self._shared: dict[Store, tuple[Quota | Quotas, TokenCache]] = {}
        self._run: tuple[str, Patience] = ("", Patience())

    @property
    def receipts_hold_operations(self) -> bool:
        """Whether stock operations are a field of the receipt (v1), which may lack it."""
        return self._dialect.receipts_hold_operations

    @property
    def waited_seconds(self) -> float:
        """How long requests of this process have waited for the quota."""
        return sum(quota.waited_seconds for quota, _ in [*self._shared.values()])

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

    def clopos(
        self,
        store: Store | None = None,
        priority: Priority = Priority.URGENT,
        on_wait: Callable[[float, str], None] | None = None,
        *,
        run_id: str = "",
    ) -> Clopos:
        """A client for one event loop; `on_wait` is told of waits, in seconds, and why.

        All that name the same store share the brand's quota and token; without one, all of this process do. Clients
        of one `run_id` bear a failing API together, not each anew. Raises SettingsError where a credential is missing.
        """
        client_id, client_secret, brand, integrator_id = self.settings.require_credentials()
        connection = Connection(
            base_url=self.settings.base_url,
            client_id=client_id,
            client_secret=client_secret,
            brand=brand,
            integrator_id=integrator_id,
            dialect=self._dialect,
        )
        quota, tokens = self._share(store or self._own_store, connection)
        return Clopos(
            connection,
            quota=quota,
            tokens=tokens,
            on_wait=on_wait,
            priority=priority,
            patience=self._patience_of(run_id),
        )

    def _share(self, store: Store, connection: Connection) -> tuple[Quota | Quotas, TokenCache]:
        with self._lock:
            if store not in self._shared:
                quota = make_quota(
                    self._dialect,
                    self.settings.requests_per_window,
                    self.settings.window_seconds,
                    store=store,
                    name=f"quota-{hashed(connection.root, connection.brand, connection.integrator_id)}",
                    longest_request_seconds=connection.timeout_seconds,
                )
                self._shared[store] = quota, TokenCache(store=store)
            return self._shared[store]

    def _patience_of(self, run_id: str) -> Patience:
        """The last run's is kept: a process makes one run at a time, and its steps one after the other."""
        if not run_id:
            return Patience()
        with self._lock:
            if run_id != self._run[0]:
                self._run = run_id, Patience()
            return self._run[1]
