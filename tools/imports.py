"""Who imports whom: the longest chain, the circles, and what goes up against the layers contract.

Functions of a graph, which `read_imports` reads with grimp, as import-linter does.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import grimp

Graph = Mapping[str, frozenset[str]]  # a module, and those that it imports
# (importing room, imported room): their modules that do so
RoomImports = dict[tuple[str, str], list[tuple[str, str]]]


@dataclass(frozen=True)
class Layer:
    """A line of the layers contract; the modules of an independent one do not import each other."""

    modules: tuple[str, ...]
    independent: bool


def read_imports(root: Path, packages: Sequence[str], *, with_types: bool) -> Graph:
    """Who imports whom, also inside functions; under TYPE_CHECKING only `with_types`."""
    sys.path.insert(0, str(root))
    try:
        graph = grimp.build_graph(
            *packages, exclude_type_checking_imports=not with_types, cache_dir=None
        )
    finally:
        sys.path.remove(str(root))
    direct = {
        module: frozenset(graph.find_modules_directly_imported_by(module))
        for module in sorted(graph.modules)
    }
    inits = {module for module in direct if graph.find_children(module)}
    silent = {module for module in inits if not direct[module]}
    return {module: to - silent for module, to in direct.items() if module not in silent}


def read_layers(pyproject: Path) -> list[Layer]:
    """The first layers contract, top to bottom."""
    contracts = tomllib.loads(pyproject.read_text())["tool"]["importlinter"]["contracts"]
    lines = next(one["layers"] for one in contracts if one["type"] == "layers")
    return [Layer(tuple(re.split(r"[\s|:()]+", line.strip("() "))), "|" in line) for line in lines]


def reachable(graph: Graph) -> dict[str, frozenset[str]]:
    def beyond(module: str) -> frozenset[str]:
        seen: set[str] = set()
        ahead = [module]
        while ahead:
            new = graph.get(ahead.pop(), frozenset()) - seen
            seen |= new
            ahead += new
        return frozenset(seen)

    return {module: beyond(module) for module in graph}


def circles(graph: Graph) -> list[list[str]]:
    """Modules that import each other, by whatever way (strongly connected components)."""
    beyond = reachable(graph)
    groups = {
        frozenset(other for other in beyond[module] if module in beyond.get(other, ()))
        for module in graph
        if module in beyond[module]
    }
    return sorted(sorted(group) for group in groups if len(group) > 1)


def longest_chain(graph: Graph) -> list[list[str]]:
    """Its links: a module each, or the modules of a circle."""
    group_of: dict[str, tuple[str, ...]] = {module: (module,) for module in graph}
    for circle in circles(graph):
        group_of |= dict.fromkeys(circle, tuple(circle))

    @cache
    def below(group: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        imported = {group_of[to] for module in group for to in graph[module] if to in graph}
        rest = max((below(next_) for next_ in imported - {group}), key=_length, default=())
        return (group, *rest)

    return [list(link) for link in max(map(below, group_of.values()), key=_length, default=())]


def _length(chain: Sequence[Sequence[str]]) -> tuple[int, Sequence[Sequence[str]]]:
    return sum(map(len, chain)), chain


def between_rooms(graph: Graph, room_of: Mapping[str, str]) -> RoomImports:
    rooms: RoomImports = {}
    for module, to in sorted((one, to) for one, imported in graph.items() for to in imported):
        room, other = room_of.get(module), room_of.get(to)
        if room and other and room != other:
            rooms.setdefault((room, other), []).append((module, to))
    return rooms


def room_circles(rooms: RoomImports) -> list[list[str]]:
    graph: dict[str, frozenset[str]] = {}
    for room, other in rooms:
        graph[room] = graph.get(room, frozenset()) | {other}
    return circles(graph)


def upward(graph: Graph, layers: Sequence[Layer]) -> list[tuple[str, str]]:
    """Imports against the contract: of a layer above, or of a neighbour in an independent one."""
    place = {module: i for i, layer in enumerate(layers) for module in layer.modules}

    def forbidden(module: str, to: str) -> bool:
        a, b = nearest(module, place), nearest(to, place)
        if a is None or b is None or a == b:
            return False
        return place[a] > place[b] or (place[a] == place[b] and layers[place[a]].independent)

    return sorted((module, to) for module in graph for to in graph[module] if forbidden(module, to))


def nearest(module: str, among: Mapping[str, object]) -> str | None:
    """The module itself or the nearest package above it that is named."""
    while module and module not in among:
        module = module.rpartition(".")[0]
    return module or None
