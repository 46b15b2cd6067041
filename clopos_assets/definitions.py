"""The Dagster definitions of this project, on the settings of the environment."""

from clopos_assets.assembly import build_definitions
from clopos_assets.settings import Settings

defs = build_definitions(Settings.read())
