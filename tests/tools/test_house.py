"""The figures of a small made-up house, each of which is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tools.house import figures, report
from tools.imports import Layer, circles, longest_chain, room_circles, upward
from tools.sources import Source, function_sizes, repeated_names, words

FILES = {
    "pyproject.toml": """
[[tool.importlinter.contracts]]
type = "layers"
layers = ["villa.attic", "villa.hall | villa.kitchen", "villa.cellar", "shed"]
""",
    "villa/__init__.py": '"""Imports nothing."""\n',
    "villa/__main__.py": "from villa.attic.bed import sleep\n\nsleep()\n",
    "villa/door.py": "import typing\n\nif typing.TYPE_CHECKING:\n    import villa.hall\n",
    "villa/attic/__init__.py": "",
    "villa/attic/bed.py": "def sleep():\n    from villa.hall import Table\n\n    return Table\n",
    "villa/hall/__init__.py": "from villa.hall.table import Table\n",
    "villa/hall/table.py": "import villa.kitchen.pot\nimport villa.door\n\nclass Table: ...\n",
    "villa/kitchen/__init__.py": "",
    "villa/kitchen/pot.py": "import villa.cellar.wine, villa.kitchen.lid\n\nclass Stock: ...\n",
    "villa/kitchen/lid.py": "from villa.kitchen import pot\n",
    "villa/cellar/__init__.py": "",
    "villa/cellar/wine.py": "import shed\nfrom villa.attic import bed\n\nStock = dict[str, int]\n",
    "shed/__init__.py": "YEAR = 1954\n",
    "tests/test_villa.py": "found = 1\n",
}


@pytest.fixture
def house(tmp_path: Path) -> dict[str, Any]:
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return figures(tmp_path, ["villa", "shed"])


def graph(arrows: Mapping[str, str]) -> dict[str, frozenset[str]]:
    return {module: frozenset(to.split()) for module, to in arrows.items()}


def test_the_longest_chain_is_the_one_of_most_modules() -> None:
    house = graph({"a": "b d", "b": "c", "c": "d", "d": "", "e": "d"})
    assert longest_chain(house) == [["a"], ["b"], ["c"], ["d"]]


def test_a_circle_is_one_link_of_the_chain_with_all_its_modules() -> None:
    house = graph({"a": "b", "b": "c", "c": "b d", "d": ""})
    assert circles(house) == [["b", "c"]]
    assert longest_chain(house) == [["a"], ["b", "c"], ["d"]]


def test_a_house_without_circles_has_none() -> None:
    assert circles(graph({"a": "b c", "b": "c", "c": ""})) == []


def test_rooms_are_in_a_circle_also_over_a_third() -> None:
    pair = [("any", "other")]
    rooms = {("a", "b"): pair, ("b", "c"): pair, ("c", "a"): pair, ("c", "d"): pair}
    assert room_circles(rooms) == [["a", "b", "c"]]


def test_upward_is_what_a_layer_imports_of_one_above_or_of_its_independent_neighbour() -> None:
    house = graph({"a.x": "b", "b": "c", "c": "a.x", "d": "a", "e": "f"})
    layers = [Layer(("a",), False), Layer(("b", "c"), True), Layer(("e", "f"), False)]
    assert upward(house, layers) == [("b", "c"), ("c", "a.x")]


def test_imports_in_functions_make_circles_and_those_for_types_are_counted_apart(
    house: dict[str, Any],
) -> None:
    circle = [
        *("villa.attic.bed", "villa.cellar.wine", "villa.hall", "villa.hall.table"),
        *("villa.kitchen.lid", "villa.kitchen.pot"),
    ]
    assert house["circles"] == [circle]
    assert house["circles_with_types"] == [sorted([*circle, "villa.door"])]


def test_a_package_counts_where_its_init_imports_something(house: dict[str, Any]) -> None:
    assert house["chain"][0] == ["villa.__main__"]
    assert "villa.hall" in house["chain"][1]
    assert house["chain"][2:] == [["villa.door"]]


def test_rooms_that_import_each_other_are_named_with_the_modules_that_do_so(
    house: dict[str, Any],
) -> None:
    modules = {(one["room"], one["imports"]): one["modules"] for one in house["room_imports"]}
    assert modules["villa.hall", "villa.kitchen"] == [("villa.hall.table", "villa.kitchen.pot")]
    assert modules["villa.cellar", "villa.attic"] == [("villa.cellar.wine", "villa.attic.bed")]
    assert house["room_circles"] == [["villa.attic", "villa.cellar", "villa.hall", "villa.kitchen"]]


def test_what_goes_up_against_the_contract_is_counted(house: dict[str, Any]) -> None:
    assert house["upward"] == [
        ("villa.cellar.wine", "villa.attic.bed"),
        ("villa.hall.table", "villa.kitchen.pot"),
    ]


def test_a_name_that_a_class_and_an_alias_share_stands_twice(house: dict[str, Any]) -> None:
    assert house["repeated_names"] == {
        "Stock": ["villa/cellar/wine.py", "villa/kitchen/pot.py"],
    }


def test_constants_and_variables_of_functions_are_no_type_names() -> None:
    text = "LIMIT = 1\n\ndef f():\n    Local = int\n"
    assert repeated_names([Source("a/b.py", text), Source("a/c.py", text)]) == {}


def test_packages_of_one_module_and_tiny_modules_with_one_user_are_named(
    house: dict[str, Any],
) -> None:
    assert house["small_packages"]["villa/attic"] == "1 modules, 3 lines of code"
    assert house["lonely_modules"]["villa.door"] == "villa.hall.table"
    assert "villa.kitchen.pot" not in house["lonely_modules"]


def test_rooms_are_folders_and_the_files_beside_them_one_room(house: dict[str, Any]) -> None:
    assert house["sizes"]["villa.kitchen"] == {"files": 3, "lines": 4, "code": 3}
    assert house["sizes"]["villa.*"]["files"] == 3
    assert house["test_sizes"]["tests.*"] == {"files": 1, "lines": 1, "code": 1}


def test_blank_lines_comments_and_docstrings_are_no_code() -> None:
    text = '"""Two\nlines."""\n\n# why\nTEXT = """three\n\nlines"""\n\ndef f():\n    """Says."""\n'
    assert Source("a/b.py", text).code_lines == 4


def test_a_function_is_as_long_as_from_its_def_to_its_last_line() -> None:
    sizes = function_sizes([Source("a/b.py", "def f(\n    x,\n):\n    return x\n\ndef g(): ...\n")])
    assert (sizes["count"], sizes["median"], sizes["p90"]) == (2, 2.5, 4)
    assert sizes["longest"][0] == {"name": "f", "path": "a/b.py", "lines": 4}


def test_our_words_are_counted_in_names_and_not_in_strings_or_comments() -> None:
    text = "found = said_at(FoundError, founded=f'{x.letter}')  # told\nhome = 'calm'\n"
    counted = words([Source("a/b.py", text)])
    assert {word: n for word, n in counted.items() if n} == {
        "home": 1,
        "letter": 1,
        "said": 1,
        "found": 2,
    }


def test_the_report_names_each_figure(house: dict[str, Any]) -> None:
    text = report(house)
    assert "Longest import chain: 8 modules" in text
    assert "Circles: 1" in text
    assert "Imports that go up against the layers contract: 2" in text
    assert "Stock x2: villa/cellar/wine.py villa/kitchen/pot.py" in text
