"""The drawing of a small made-up house, and that the one in docs/ shows the house as it is."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tools.draw_house import Room, draw, place, read_house
from tools.house import PACKAGES, ROOT
from tools.imports import nearest
from tools.sources import read_sources

FILES = {
    "pyproject.toml": """
[[tool.importlinter.contracts]]
type = "forbidden"

[[tool.importlinter.contracts]]
type = "layers"
layers = ["villa.hall", "villa.cellar", "villa.key | villa.lamp", "shed"]
""",
    "villa/__init__.py": "",
    "villa/__main__.py": "import villa.hall.table\n",
    "villa/hall/__init__.py": '"""Where `guests`\ncome in. And out.\n\nNever late."""\n',
    "villa/hall/table.py": "import villa.cellar.wine\nimport villa.key\nimport shed.saw.blade\n",
    "villa/cellar/__init__.py": '"""Wine & cheese."""\n',
    "villa/cellar/wine.py": "import villa.lamp\n",
    "villa/key.py": '"""Opens."""\n',
    "villa/lamp.py": '"""Shines."""\n',
    "shed/__init__.py": "",
    "shed/rope.py": "",
    "shed/saw/__init__.py": "",
    "shed/saw/blade.py": "import shed.rope\n",
}
ROOMS = ["villa.hall", "villa.cellar", "villa.key · villa.lamp", "shed.saw", "shed"]
ARROWS = {
    ("villa.hall", "villa.cellar"),
    ("villa.hall", "villa.key · villa.lamp"),
    ("villa.hall", "shed.saw"),
    ("villa.cellar", "villa.key · villa.lamp"),
    ("shed.saw", "shed"),
}


@pytest.fixture
def villa(tmp_path: Path) -> Path:
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def shown(svg: str) -> tuple[list[str], set[tuple[str, str]]]:
    """The rooms of a drawing, top to bottom, and its arrows."""
    groups = list(ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}g"))
    rooms = [group.attrib["id"] for group in groups if "id" in group.attrib]
    arrows = [(g.attrib["data-from"], g.attrib["data-to"]) for g in groups if "data-to" in g.attrib]
    assert len(arrows) == len(set(arrows))
    return rooms, set(arrows)


def test_the_drawing_shows_each_room_in_the_contracts_order_and_each_arrow(villa: Path) -> None:
    assert shown(draw(*read_house(villa, ["villa", "shed"]))) == (ROOMS, ARROWS)


def test_a_room_says_the_first_sentence_of_its_docstring(villa: Path) -> None:
    rooms, _ = read_house(villa, ["villa", "shed"])
    assert [room.purpose for room in rooms[:3]] == [
        "Where guests come in.",
        "Wine & cheese.",
        "Opens. Shines.",
    ]
    assert "Wine &amp; cheese." in draw(rooms, {})


def test_counts_stand_in_the_boxes_only_when_asked_for(villa: Path) -> None:
    rooms, arrows = read_house(villa, ["villa", "shed"])
    assert "2 modules, 7 lines" in draw(rooms, arrows, counts=True)
    assert " lines" not in draw(rooms, arrows)


def test_the_same_house_gives_the_same_drawing(villa: Path) -> None:
    first, second = (draw(*read_house(villa, ["villa", "shed"])) for _ in range(2))
    assert first == second


def test_more_imports_make_a_thicker_arrow() -> None:
    rooms = [Room("a", "", ""), Room("b", "", "")]
    weights = [draw(rooms, {("a", "b"): imports}) for imports in (2, 3, 9, 10)]
    classes = ("arrow thin", "arrow middle", "arrow middle", "arrow thick")
    assert all(kind in svg for kind, svg in zip(classes, weights, strict=True))


def test_boxes_and_arrows_do_not_touch_each_other(villa: Path) -> None:
    boxes = place(*read_house(villa, ["villa", "shed"]))
    for upper, lower in pairwise(boxes.values()):
        assert upper.y + upper.height < lower.y
        assert all(upper.x < upper.departure(name) < lower.x for name in upper.below)
        arrivals = [lower.arrival(name) for name in lower.above]
        assert all(lower.y < y < lower.y + lower.height for y in arrivals)
        assert len(set(arrivals)) == len(arrivals)


def test_an_import_that_goes_up_is_named() -> None:
    with pytest.raises(ValueError, match=r"b imports a, which stands above it"):
        draw([Room("a", "", ""), Room("b", "", "")], {("b", "a"): 1})


def test_the_drawing_in_docs_shows_the_house_as_it_is() -> None:
    # Not the widths of its arrows, nor the sentences: a commit of every day needs no new drawing.
    rooms, arrows = shown((ROOT / "docs" / "architecture.svg").read_text())
    now, imports = read_house(ROOT)
    assert (rooms, arrows) == ([room.name for room in now], set(imports)), "run `make house`"


def test_each_module_of_the_house_is_in_a_room() -> None:
    rooms = dict.fromkeys(name for room in read_house(ROOT)[0] for name in room.name.split(" · "))
    modules = [one.module for one in read_sources(ROOT, PACKAGES) if not one.is_entrance]
    assert [module for module in modules if nearest(module, rooms) is None] == []
