"""The sandbox shares no code with the rest of the package, so that an error in one cannot hide in the other."""

import ast
import sys
from pathlib import Path

import clopos_assets.sandbox

FOLDER = Path(clopos_assets.sandbox.__file__).parent
ALLOWED = {"msgspec", "starlette", "uvicorn"} | set(sys.stdlib_module_names)


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names.add(node.module or "")
    return names


def test_imports() -> None:
    modules = sorted(FOLDER.glob("*.py"))
    assert len(modules) > 10
    for path in modules:
        for name in imported(path):
            own = name.startswith("clopos_assets.sandbox.")
            assert own or name.partition(".")[0] in ALLOWED, f"{path.name} imports {name}"


def test_modules_are_small() -> None:
    for path in FOLDER.glob("*.py"):
        assert len(path.read_text("utf-8").splitlines()) < 400, path.name
