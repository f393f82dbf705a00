"""Draws docs/architecture.svg: the rooms in the order of the layers contract, and their imports.

`make house` does so. A room that imports another has an arrow down to it, thicker where more
modules do. `--counts` writes modules and lines in the boxes, which the drawing in docs/ leaves
out because they age.
"""

from __future__ import annotations

import argparse
import ast
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from tools.house import PACKAGES, ROOT
from tools.imports import Layer, between_rooms, nearest, read_imports, read_layers
from tools.sources import Source, read_sources

Arrows = Mapping[tuple[str, str], int]  # (room, room below): imports of a module by a module

MARGIN, GAP = 16, 14  # around the drawing, and between boxes
WIDTH, LINE = 460, 18  # of a box, and of a line of text in it
PORT = 6  # from one arrow to the next along a box
ROUND = 5  # where an arrow turns
FEW, MANY = 2, 10  # imports: up to here thin, from here thick
TONES = 4
STYLE = """
    svg { font: 13px system-ui, sans-serif }
    .paper { fill: #fff } .box { fill: #f6f7f9; stroke: #ccd2da }
    .text { fill: #4b5563 } .name { fill: #111827; font-weight: 600; font-size: 15px }
    .tone0 { color: #3572b8 } .tone1 { color: #24865f }
    .tone2 { color: #a86a14 } .tone3 { color: #8a4fa8 }
    .bar, .arrow path + path { fill: currentColor }
    .arrow path:first-child { fill: none; stroke: currentColor }
    .thin { stroke-width: 1 } .middle { stroke-width: 2 } .thick { stroke-width: 3.5 }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #0f141a } .box { fill: #1b222c; stroke: #3d4754 }
      .text { fill: #b6bfca } .name { fill: #f3f4f6 }
      .tone0 { color: #6ba4e8 } .tone1 { color: #55c79d }
      .tone2 { color: #dba64f } .tone3 { color: #c08fd8 }
    }
"""


@dataclass(frozen=True)
class Room:
    name: str
    purpose: str
    counts: str


@dataclass(frozen=True)
class Box:
    """Where a room stands; `above` import it and `below` it imports, both from the nearest on."""

    room: Room
    x: int
    y: int
    height: int
    lines: Sequence[str]
    above: Sequence[str]
    below: Sequence[str]

    def departure(self, below: str) -> int:
        """The x of an arrow at the lower edge: the nearest is rightmost, or they would cross."""
        return self.x + PORT * (len(self.below) - self.below.index(below) + 1)

    def arrival(self, above: str) -> float:
        """The y of an arrow at the left edge: the nearest is on top, or they would cross."""
        first = self.y + (self.height - PORT * (len(self.above) - 1)) / 2
        return first + PORT * self.above.index(above)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", action="store_true", help="with modules and lines")
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "architecture.svg")
    arguments = parser.parse_args()
    rooms, arrows = read_house(ROOT)
    arguments.to.write_text(draw(rooms, arrows, counts=arguments.counts))
    print(f"{arguments.to}: {len(rooms)} rooms, {len(arrows)} arrows")


# Reading


def read_house(root: Path, packages: Sequence[str] = PACKAGES) -> tuple[list[Room], Arrows]:
    """The rooms, top to bottom, and how often each imports another."""
    sources = read_sources(root, packages)
    rooms = [
        room
        for layer in read_layers(root / "pyproject.toml")
        for room in rooms_of(layer, {source.package for source in sources})
    ]
    name_of = {module: " · ".join(room) for room in rooms for module in room}
    room_of = {
        source.module: name_of[module]
        for source in sources
        if (module := nearest(source.module, name_of))
    }
    graph = read_imports(root, packages, with_types=False)
    arrows = {pair: len(modules) for pair, modules in between_rooms(graph, room_of).items()}
    return [read_room(room, room_of, sources) for room in rooms], arrows


def rooms_of(layer: Layer, packages: set[str]) -> list[tuple[str, ...]]:
    """Each module is a room, but files that do not import each other are one together.

    A package without a room above it (`switch`) has its folders above itself.
    """
    if layer.independent and not packages & set(layer.modules):
        return [layer.modules]
    roots = [module for module in layer.modules if "." not in module]
    inner = sorted(one for one in packages if one.count(".") == 1 and one.split(".")[0] in roots)
    return [(module,) for module in (*inner, *layer.modules)]


def read_room(room: Sequence[str], room_of: Mapping[str, str], sources: Sequence[Source]) -> Room:
    name = " · ".join(room)
    inside = [source for source in sources if room_of.get(source.module) == name]
    purpose = " ".join(first_sentence(source) for source in inside if source.module in room)
    lines = sum(source.lines for source in inside)
    return Room(name, purpose, f"{len(inside)} modules, {lines:,} lines")


def first_sentence(source: Source) -> str:
    paragraph = (ast.get_docstring(source.tree) or "").split("\n\n")[0]
    return re.split(r"(?<=[.!?]) ", " ".join(paragraph.replace("`", "").split()))[0]


# Drawing


def draw(rooms: Sequence[Room], arrows: Arrows, *, counts: bool = False) -> str:
    """A staircase: an arrow leaves a box below, goes down, and turns right into another."""
    boxes = place(rooms, arrows)
    tones = {name: i % TONES for i, name in enumerate(boxes)}
    last = boxes[rooms[-1].name]
    width, height = last.x + WIDTH + MARGIN, last.y + last.height + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
            "  <title>The rooms of the house, and what each imports of those below</title>",
            f"  <style>{STYLE}  </style>",
            f'  <rect class="paper" width="{width}" height="{height}"/>',
            *(line for pair in sorted(arrows) for line in _arrow(boxes, pair, arrows, tones)),
            *(line for box in boxes.values() for line in _box(box, tones[box.room.name], counts)),
            "</svg>",
            "",
        ]
    )


def place(rooms: Sequence[Room], arrows: Arrows) -> dict[str, Box]:
    """Each box begins right of the arrows that go down from those above it."""
    names = [room.name for room in rooms]
    for name, other in arrows:
        if names.index(name) > names.index(other):
            raise ValueError(f"{name} imports {other}, which stands above it: see make check")
    boxes: dict[str, Box] = {}
    x = y = MARGIN
    for i, room in enumerate(rooms):
        above = [name for name in reversed(names[:i]) if (name, room.name) in arrows]
        below = [name for name in names[i + 1 :] if (room.name, name) in arrows]
        lines = textwrap.wrap(room.purpose, 64)
        height = max(LINE * (len(lines) + 1) + 14, PORT * (len(above) + 1))
        boxes[room.name] = Box(room, x, y, height, lines, above, below)
        x += PORT * (len(below) + 3)
        y += height + GAP
    return boxes


def _box(box: Box, tone: int, counts: bool) -> Iterator[str]:
    x, y, name = box.x, box.y, escape(box.room.name)
    top = y + (box.height - LINE * (len(box.lines) + 1)) // 2 - 4
    yield f'  <g class="room tone{tone}" id="{name}">'
    yield f'    <rect class="box" x="{x}" y="{y}" width="{WIDTH}" height="{box.height}" rx="5"/>'
    yield f'    <rect class="bar" x="{x}" y="{y}" width="4" height="{box.height}" rx="2"/>'
    yield f'    <text class="name" x="{x + 16}" y="{top + LINE}">{name}</text>'
    for i, line in enumerate(box.lines, 2):
        yield f'    <text class="text" x="{x + 16}" y="{top + LINE * i}">{escape(line)}</text>'
    if counts:
        place = f'x="{x + WIDTH - 12}" y="{top + LINE}" text-anchor="end"'
        yield f'    <text class="text" {place}>{box.room.counts}</text>'
    yield "  </g>"


def _arrow(
    boxes: Mapping[str, Box], pair: tuple[str, str], arrows: Arrows, tones: Mapping[str, int]
) -> Iterator[str]:
    room, other = (escape(name) for name in pair)
    start, end = boxes[pair[0]], boxes[pair[1]]
    x, y, tip = start.departure(pair[1]), end.arrival(pair[0]), end.x - 1
    weight = "thin" if arrows[pair] <= FEW else "thick" if arrows[pair] >= MANY else "middle"
    line = f"M{x} {start.y + start.height}V{y - ROUND:g}q0 {ROUND} {ROUND} {ROUND}H{tip - 5}"
    yield f'  <g class="arrow {weight} tone{tones[pair[0]]}" data-from="{room}" data-to="{other}">'
    yield f'    <path d="{line}"/><path d="M{tip - 7} {y - 3:g}l7 3l-7 3z"/>'
    yield f"    <title>{room} imports {other}</title>"
    yield "  </g>"


if __name__ == "__main__":
    main()
