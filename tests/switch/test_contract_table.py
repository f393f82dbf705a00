"""CONTRACT.md beside this file says which test proves which rule: each of them must be there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (Path(__file__).parent / "CONTRACT.md").read_text("utf-8")
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split(" | "))
    for line in PAGE.splitlines()
    if line.startswith("| ") and line != "| rule | tests |"
]
NAMED = sorted({name for _, tests in ROWS for name in tests.strip("`").split("` `")})


@cache
def names_in(path: Path) -> frozenset[str]:
    """The tests that pytest collects from a file and runs without being asked to."""
    found = ast.parse(path.read_text("utf-8")).body
    return frozenset(
        item.name
        for item in found
        if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)) and not _apart(item)
    )


def _apart(item: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    marks = {ast.unparse(mark).partition("(")[0] for mark in item.decorator_list}
    return bool(marks & {"pytest.mark.skip", "pytest.mark.xfail", "pytest.mark.soak"})


def test_every_rule_names_its_proof() -> None:
    assert len(ROWS) > 90
    for rule, tests in ROWS:
        assert re.fullmatch(r"`[\w/]+::test_\w+`(?: `[\w/]+::test_\w+`)*", tests), rule
    rules = [rule for rule, _ in ROWS]
    assert len(rules) == len(set(rules)), "one row a rule"


@pytest.mark.parametrize("name", NAMED)
def test_a_named_test_exists(name: str) -> None:
    place, _, test = name.partition("::")
    path = TESTS / f"{place}.py"
    assert path.is_file(), f"no {path.name}; mend CONTRACT.md"
    assert test in names_in(path), f"{path.name} has no {test}; mend CONTRACT.md"
