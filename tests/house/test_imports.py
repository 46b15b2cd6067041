"""Which room knows which: imports point one way, and the sandbox stands alone."""

import ast
import sys
from pathlib import Path

import pytest

import clopos_assets

PACKAGE = Path(clopos_assets.__file__).parent
TESTS = Path(__file__).parents[1]

_RAW = frozenset({"clopos", "tables", "storage", "lake", "origin", "ingest"})
_RUN = _RAW | {"database", "compute", "settings", "ledger", "findings", "monthly"}
KNOWS: dict[str, frozenset[str]] = {
    "clopos": frozenset(),
    "tables": frozenset(),
    "settings": frozenset({"clopos"}),
    "sandbox": frozenset(),
    "interrupts": frozenset(),
    "storage": frozenset(),
    "lake": frozenset({"tables", "storage"}),
    "origin": frozenset({"tables", "lake"}),
    "ingest": frozenset({"clopos", "tables", "lake", "origin"}),
    "database": frozenset(),
    "compute": frozenset({"tables", "lake", "database"}),
    "ledger": frozenset({"tables", "lake", "database", "compute", "ingest"}),
    "findings": frozenset({"tables"}),
    "monthly": frozenset({"tables", "lake"}),
    "late": _RAW,
    "access": _RUN,
    "sharing": frozenset({"clopos", "storage", "lake", "tags"}),
    "targets": frozenset(),
    "tags": frozenset(),
    "line": _RUN | {"access", "interrupts"},
    "assets": _RUN | {"access", "interrupts", "line", "sharing", "tags", "targets"},
    "late_sensor": _RUN | {"access", "late", "line", "sharing", "tags", "targets"},
    "automation": _RUN | {"access", "late", "late_sensor", "tags"},
    "definitions": _RUN | {"access", "line", "assets", "automation"},
    "cli": _RUN | {"access", "assets", "automation", "sandbox", "sharing", "tags"},
}
"""Room → the rooms it may import. `definitions` is in none: nobody imports it."""

SPLIT_OFF = {"assembly": "definitions", "demo": "cli", "doctor": "cli", "__main__": "cli"}
"""Modules that are part of a room beside them: the assembly without its environment, the command without its words."""

MAY_IMPORT = {"demo": {"assembly"}}
"""Rooms and modules that a module may import besides: the demo assembles definitions on a lake of its own."""

OF_DAGSTER = {"sharing", "targets", "assets", "automation", "late_sensor", "definitions", "cli"}


def module_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def top_of(path: Path) -> str:
    """The first name below the package: a folder's, or a module's."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def room_of(top: str) -> str:
    return SPLIT_OFF.get(top, top)


def imported(path: Path) -> set[str]:
    """Dotted names that a module imports anywhere in it, functions and type-checking blocks included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports by dots: write the full name"
            module = node.module or ""
            names |= {f"{module}.{alias.name}" for alias in node.names} if module == "clopos_assets" else {module}
    return names


def own_tops(path: Path) -> set[str]:
    """First names below the package that a module imports."""
    parts = [name.split(".") for name in imported(path)]
    return {part[1] for part in parts if part[0] == "clopos_assets" and len(part) > 1}


def names_of(paths: list[Path]) -> list[str]:
    return [path.relative_to(PACKAGE).as_posix() for path in paths]


every_module = pytest.mark.parametrize("path", module_files(), ids=names_of(module_files()))


def test_the_scan_sees_the_package() -> None:
    assert {"tables/rows.py", "lake.py", "clopos/client.py", "sandbox/api.py"} <= set(names_of(module_files()))
    assert own_tops(PACKAGE / "lake.py") == {"tables", "storage"}
    assert "pyarrow" in imported(PACKAGE / "lake.py")


def test_every_module_is_in_a_room() -> None:
    homeless = {room_of(top_of(path)) for path in module_files()} - set(KNOWS) - {"__init__"}
    assert homeless == set(), "give it a room in KNOWS, and say what it may import"


@every_module
def test_imports_point_one_way(path: Path) -> None:
    top = top_of(path)
    room = room_of(top)
    allowed = KNOWS.get(room, frozenset()) | MAY_IMPORT.get(top, set())
    # Modules of a room may import each other.
    wrong = {name for name in own_tops(path) if room_of(name) != room and name not in allowed}
    assert wrong == set()


@every_module
def test_nobody_imports_the_definitions(path: Path) -> None:
    assert "definitions" not in own_tops(path)


@every_module
def test_only_the_command_line_imports_the_sandbox(path: Path) -> None:
    if room_of(top_of(path)) not in {"cli", "sandbox"}:
        assert "sandbox" not in own_tops(path)


@every_module
def test_only_its_own_rooms_import_dagster(path: Path) -> None:
    of_dagster = {name for name in imported(path) if name.split(".")[0].startswith("dagster")}
    if room_of(top_of(path)) not in OF_DAGSTER:
        assert of_dagster == set()


@pytest.mark.parametrize("module", sorted(SPLIT_OFF))
def test_a_split_off_module_is_imported_by_its_room_alone(module: str) -> None:
    importers = {top_of(path) for path in module_files() if module in own_tops(path)}
    strangers = {
        top for top in importers if room_of(top) != SPLIT_OFF[module] and module not in MAY_IMPORT.get(top, set())
    }
    assert strangers == set()


def test_the_oracle_shares_nothing_with_what_it_judges() -> None:
    outside = {name.split(".")[0] for name in imported(TESTS / "oracle.py")} - set(sys.stdlib_module_names)
    assert outside == set()
