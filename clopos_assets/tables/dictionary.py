"""The data dictionary as Markdown, from the declarations. `python -m clopos_assets.tables.dictionary README.md`
writes it between the two markers of a file.
"""

import sys
from pathlib import Path

from clopos_assets.tables import TABLES
from clopos_assets.tables.columns import Table

BEGIN = "<!-- dictionary: generated, do not edit -->"
END = "<!-- end of dictionary -->"


def render() -> str:
    """Every table with its grain, key and columns."""
    return "\n\n".join(_render_table(table) for table in TABLES.values())


def _render_table(table: Table) -> str:
    keys = ", ".join(f"`{name}`" for name in table.key)
    lines = [
        f"### `{table.name}` ({table.group})",
        "",
        f"{table.description} Grain: {table.grain}. Key within a shift date: {keys}.",
        "",
        "| column | type | meaning |",
        "|---|---|---|",
        *(f"| `{column.name}` | {_type(column.sql_type)} | {column.description} |" for column in table.columns),
    ]
    return "\n".join(lines)


def _type(sql_type: str) -> str:
    return sql_type.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ")


def write_into(text: str) -> str:
    """The text with the dictionary between its markers. Raises ValueError where they are missing."""
    before, _, rest = text.partition(BEGIN)
    _, marker, after = rest.partition(END)
    if not marker:
        raise ValueError(f"no markers {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{render()}\n\n{END}{after}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(write_into(path.read_text(encoding="utf-8")), encoding="utf-8")
