"""The README against the code: its dictionary, its settings, its one-liners' functions and its commands."""

import re
from pathlib import Path

from clopos_assets.settings import Settings, variable
from clopos_assets.tables.dictionary import write_into

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_dictionary_is_the_declarations() -> None:
    """`python -m clopos_assets.tables.dictionary README.md` mends it."""
    assert write_into(README) == README


def test_every_setting_is_in_the_table_and_no_other() -> None:
    table = README.partition("### Settings")[2].partition("\n## ")[0]
    named = {name for row in table.splitlines() if row.startswith("| `") for name in re.findall(r"`(CLOPOS_\w+)`", row)}
    assert named == {variable(field) for field in Settings.model_fields}


def test_its_picture_is_there() -> None:
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / picture).is_file(), picture


def test_nothing_is_left_to_fill_in() -> None:
    assert "@@" not in README
