"""The shape of `prober/` and `switch/` in figures: `make house`; `--json` for a program to read.

A step of an import chain is a module; a circle counts with all its modules (whoever reads one of
them reads all), a package's `__init__` where it imports something. A room is a folder of a
package; the files beside the rooms are one room, `prober.*`.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.imports import (
    between_rooms,
    circles,
    longest_chain,
    read_imports,
    read_layers,
    room_circles,
    upward,
)
from tools.sources import (
    LARGE,
    SMALL,
    function_sizes,
    lonely_modules,
    read_sources,
    repeated_names,
    room_sizes,
    small_packages,
    words,
)

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("prober", "switch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", nargs="?", type=Path, default=ROOT, help="another checkout")
    parser.add_argument("--json", action="store_true", help="all of it, for a program to read")
    arguments = parser.parse_args()
    house = figures(arguments.root.resolve())
    print(json.dumps(house, indent=2) if arguments.json else report(house))


def figures(root: Path, packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    sources, tests = read_sources(root, packages), read_sources(root, ["tests"])
    graph = read_imports(root, packages, with_types=False)
    typed = read_imports(root, packages, with_types=True)
    # `python -m prober` starts the command and is in no room.
    room_of = {source.module: source.room for source in sources if source.parts[-1] != "__main__"}
    rooms = between_rooms(graph, room_of)
    files = [source for source in sources if not source.is_entrance]
    return {
        "chain": longest_chain(graph),
        "chain_with_types": longest_chain(typed),
        "circles": circles(graph),
        "circles_with_types": circles(typed),
        "room_circles": room_circles(rooms),
        "room_imports": [
            {"room": room, "imports": to, "modules": pairs} for (room, to), pairs in rooms.items()
        ],
        "upward": upward(graph, read_layers(root / "pyproject.toml")),
        "repeated_names": repeated_names(sources),
        "small_packages": small_packages(sources),
        "lonely_modules": lonely_modules(sources, graph),
        "sizes": room_sizes(sources),
        "test_sizes": room_sizes(tests),
        "small_files": {one.path: one.lines for one in files if one.lines < SMALL},
        "large_files": {one.path: one.lines for one in files if one.lines > LARGE},
        "functions": function_sizes(sources),
        "words": words(sources),
        "test_words": words(tests),
    }


def report(house: Mapping[str, Any]) -> str:
    return "\n".join(
        [
            *_imports(house),
            *_rooms(house),
            *_names(house),
            *_files(house),
            *_functions(house["functions"]),
            *_words(house["words"], house["test_words"]),
        ]
    )


def _imports(house: Mapping[str, Any]) -> Iterator[str]:
    chain, typed = house["chain"], house["chain_with_types"]
    yield f"Longest import chain: {_modules(chain)} modules"
    yield from _listed((" = ".join(link) for link in chain), " > ")
    yield f"  with imports for types: {_modules(typed)}"
    for measure, groups in (
        ("Circles", house["circles"]),
        ("Circles with imports for types", house["circles_with_types"]),
    ):
        yield f"\n{measure}: {len(groups)}"
        for group in groups:
            yield from _listed([f"{len(group)} modules:", *group], " ")


def _rooms(house: Mapping[str, Any]) -> Iterator[str]:
    imports = {(one["room"], one["imports"]): one["modules"] for one in house["room_imports"]}
    mutual = [
        (room, to) for room, to in imports if (to, room) in imports and _rarer(imports, room, to)
    ]
    yield f"\nPairs of rooms that import each other: {len(mutual)}"
    for room, to in sorted(mutual):
        yield f"  {room} > {to}: {len(imports[room, to])}, back {len(imports[to, room])}"
        yield from (f"    {module} > {imported}" for module, imported in imports[room, to])
    yield f"\nImports that go up against the layers contract: {len(house['upward'])}"
    yield from (f"  {module} > {to}" for module, to in house["upward"])
    yield "\nWhich room imports which, and how often"
    for room in sorted({room for room, _ in imports}):
        to = (f"{to} {len(pairs)}" for (one, to), pairs in sorted(imports.items()) if one == room)
        yield from _listed([f"{room:<20}", *to], "  ")


def _names(house: Mapping[str, Any]) -> Iterator[str]:
    names = house["repeated_names"]
    yield f"\nClasses and type aliases whose name stands more than once: {len(names)}"
    for name, paths in names.items():
        yield from _listed([f"{name} x{len(paths)}:", *paths], " ")


def _files(house: Mapping[str, Any]) -> Iterator[str]:
    small, lonely = house["small_packages"], house["lonely_modules"]
    yield f"\nSmall packages (one module, or less than {SMALL} lines of code): {len(small)}"
    yield from (f"  {folder}: {why}" for folder, why in small.items())
    yield f"\nTiny modules with one user: {len(lonely)}"
    yield from (f"  {module}, for {user}" for module, user in lonely.items())
    yield f"\n{'Room':<28}{'files':>7}{'lines':>9}{'code':>9}"
    for sizes in (house["sizes"], house["test_sizes"]):
        total = {
            key: sum(size[key] for size in sizes.values()) for key in ("files", "lines", "code")
        }
        for room, size in [*sizes.items(), ("total", total)]:
            yield f"  {room:<26}{size['files']:>7}{size['lines']:>9,}{size['code']:>9,}"
    for key, limit in (("large_files", f"above {LARGE}"), ("small_files", f"below {SMALL}")):
        yield f"\nFiles {limit} lines: {len(house[key])} (but __init__ and __main__)"
        yield from _listed((f"{path} {lines}" for path, lines in house[key].items()), ", ")


def _functions(sizes: Mapping[str, Any]) -> Iterator[str]:
    middle, most = f"{sizes['median']:g}", sizes["p90"]
    yield f"\nFunctions: {sizes['count']}, lines: median {middle}, 90th percentile {most}; longest:"
    yield from (f"  {one['lines']:>4}  {one['name']} in {one['path']}" for one in sizes["longest"])


def _words(house: Mapping[str, int], tests: Mapping[str, int]) -> Iterator[str]:
    yield f"\n{'Words of our own in names':<28}{'house':>7}{'tests':>9}"
    total = ("total", sum(house.values()), sum(tests.values()))
    for word, here, there in [*((word, house[word], tests[word]) for word in house), total]:
        yield f"  {word:<26}{here:>7}{there:>9}"


def _modules(chain: Sequence[Sequence[str]]) -> int:
    return sum(map(len, chain))


def _listed(parts: Iterable[str], separator: str) -> list[str]:
    """In lines that break between the parts and not in them."""
    lines = textwrap.wrap(
        separator.join(part.replace(" ", "\xa0") for part in parts),
        width=100,
        initial_indent="  ",
        subsequent_indent="    ",
        break_on_hyphens=False,
    )
    return [line.replace("\xa0", " ") for line in lines]


def _rarer(imports: Mapping[tuple[str, str], Sequence[object]], room: str, to: str) -> bool:
    """Of a pair, the direction of fewer imports: the one to cut."""
    return (len(imports[room, to]), room) < (len(imports[to, room]), to)


if __name__ == "__main__":
    main()
