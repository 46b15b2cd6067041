"""Names, sizes, first lines, and what no text file of the project may hold."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.house.test_imports import PACKAGE, every_module, module_files

PROJECT = Path(__file__).parents[2]
MOST_LINES = 400
NAMES_FOR_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc"}

# Written in parts, so that this file does not hold what it forbids.
_HOMES = "|".join(("home/" + r"\w", "Users/" + r"\w", "root/", "work/", "mnt/", "private/var/"))
FORBIDDEN = {
    "a path of somebody's machine": re.compile(r"(?<![\w.:/~}*-])/(?:" + _HOMES + r")|\b[A-Z]:\\{1,2}Users\b"),
    "the address of a package index": re.compile(
        r"(?i)\b(?:pypi|pythonhosted|test\.pypi)\.(?:org|io)\b|\bindex[-_]url[\s=:\"']+\w+://"
    ),
}


def text_files() -> dict[str, str]:
    """Files that are tracked or about to be, by path; binary ones left out."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        check=False,
        timeout=60,
    )
    if listed.returncode:  # a downloaded archive, in which virtual environments and lakes may stand as well
        pytest.skip("only git says which files are the project's")  # and without it nothing can be looked at
    texts = {}
    for name in listed.stdout.decode().split("\0"):
        path = PROJECT / name
        if name and path.is_file():  # a file may be listed and gone
            content = path.read_bytes()
            if b"\0" not in content:
                texts[name] = content.decode("utf-8")
    return texts


@every_module
def test_a_modules_first_lines_say_what_belongs_in_it(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring
    assert docstring.splitlines()[0].strip()


@every_module
def test_modules_are_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < MOST_LINES


@pytest.mark.parametrize("folder", [PACKAGE, Path(__file__).parents[1]], ids=["package", "tests"])
def test_no_module_is_named_for_nothing(folder: Path) -> None:
    found = [
        path for path in folder.rglob("*") if path.stem in NAMES_FOR_NOTHING and path.suffix in {"", ".py", ".sql"}
    ]
    assert found == []


def test_the_parametrised_modules_are_all_there_are() -> None:
    assert len(module_files()) == len({path.resolve() for path in PACKAGE.rglob("*.py")})


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_text_file_holds(what: str) -> None:
    found = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in text_files().items()
        for number, line in enumerate(text.splitlines(), start=1)
        if FORBIDDEN[what].search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("a path of somebody's machine", "see /" + "home/me/lake"),
        ("a path of somebody's machine", 'open("/' + 'Users/me/x")'),
        ("a path of somebody's machine", "cd /" + "root/x"),
        ("a path of somebody's machine", "C:" + "\\Users\\me"),
        ("the address of a package index", "https://pypi" + ".org/simple"),
        ("the address of a package index", "https://files.pythonhosted" + ".org/packages"),
        ("the address of a package index", "pip install --extra-index" + "-url https://example.com"),
    ],
)
def test_what_is_forbidden_is_seen(what: str, line: str) -> None:
    assert FORBIDDEN[what].search(line)


@pytest.mark.parametrize(
    "line",
    ["https://example.com/home/x", "tests/work/x", "~/home/x", "homework", "{root}/home/x", "--no-emit-index-url -o x"],
)
def test_what_is_allowed_is_not_seen(line: str) -> None:
    assert not any(pattern.search(line) for pattern in FORBIDDEN.values())


def test_the_scan_sees_the_project() -> None:
    assert {"pyproject.toml", "clopos_assets/lake.py"} <= set(text_files())
