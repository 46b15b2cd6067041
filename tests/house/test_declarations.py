"""That no table is declared otherwise without a new number for what writes it."""

from hashlib import sha256

from clopos_assets.monthly import declaration
from clopos_assets.origin import SCHEMA_VERSION
from clopos_assets.tables import TABLES


def test_another_declaration_has_another_number() -> None:
    """An older version must not write into a lake that it does not know, and runs tell of what an older one wrote.

    Where this fails, raise SCHEMA_VERSION, say there what changed, and put both here.
    """
    declared = sha256("".join(f"{name}:{declaration(table)}\n" for name, table in TABLES.items()).encode())
    assert (SCHEMA_VERSION, declared.hexdigest()[:16]) == (3, "a83e8842d56b08a6")
