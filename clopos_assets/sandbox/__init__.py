"""A Clopos that runs on this machine: a restaurant's history and the Open API over it, v2 and v1.

Written from the vendor's documents alone and sharing nothing with the client, so that an error in one cannot
hide in the other.
"""

from clopos_assets.sandbox.api import Hooks, make_app
from clopos_assets.sandbox.day import HistoryOptions
from clopos_assets.sandbox.faults import Fault, Faults
from clopos_assets.sandbox.history import History
from clopos_assets.sandbox.limits import LimitOptions, Limits
from clopos_assets.sandbox.quirks import Quirks
from clopos_assets.sandbox.run import LiveHistory, run_sandbox, sandbox_settings
from clopos_assets.sandbox.server import Sandbox, serve
from clopos_assets.sandbox.world import Credentials, World

__all__ = [
    "Credentials",
    "Fault",
    "Faults",
    "History",
    "HistoryOptions",
    "Hooks",
    "LimitOptions",
    "Limits",
    "LiveHistory",
    "Quirks",
    "Sandbox",
    "World",
    "make_app",
    "run_sandbox",
    "sandbox_settings",
    "serve",
]
