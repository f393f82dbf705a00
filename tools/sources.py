"""Files of Python in figures: lines, functions, names that stand twice, words of our own."""

from __future__ import annotations

import ast
import io
import math
import re
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

from tools.imports import Graph

SMALL, LARGE = 80, 400  # lines of a file, and of the code of a package
TINY = 30  # lines of a module that its only user could hold
# Words of our own where the field has words.
OUR_WORDS = (
    *("tell", "told", "hear", "mend", "home", "calm"),
    *("purse", "letter", "said", "found", "crier", "memento"),
)
NOT_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    tokenize.ENDMARKER,
}


@dataclass(frozen=True)
class Source:
    """A file of Python, `path` below the root: `prober/cli/main.py`."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def parts(self) -> tuple[str, ...]:
        return Path(self.path).with_suffix("").parts

    @property
    def module(self) -> str:
        """`prober.cli.main`; `prober.cli` for its `__init__`."""
        return ".".join(part for part in self.parts if part != "__init__")

    @property
    def package(self) -> str:
        return ".".join(self.parts[:-1])

    @property
    def room(self) -> str:
        return ".".join(self.parts[:2]) if len(self.parts) > 2 else f"{self.parts[0]}.*"

    @property
    def is_entrance(self) -> bool:
        return self.parts[-1] in ("__init__", "__main__")

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    @cached_property
    def code_lines(self) -> int:
        """Lines without those that are blank, comment or docstring."""
        code: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type not in NOT_CODE:
                code.update(range(token.start[0], token.end[0] + 1))
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[0] if node.body else None
                if isinstance(first, ast.Expr) and ast.get_docstring(node) is not None:
                    code.difference_update(range(first.lineno, (first.end_lineno or 0) + 1))
        return len(code)


def read_sources(root: Path, packages: Sequence[str]) -> list[Source]:
    paths = sorted(path for package in packages for path in (root / package).rglob("*.py"))
    return [Source(path.relative_to(root).as_posix(), path.read_text()) for path in paths]


def repeated_names(sources: Sequence[Source]) -> dict[str, list[str]]:
    """Classes and type aliases that stand in more than one place."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for source in sources:
        for name in _type_names(source.tree):
            places[name].append(source.path)
    return {name: sorted(paths) for name, paths in sorted(places.items()) if len(paths) > 1}


def _type_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name) and re.fullmatch(r"_*[A-Z]\w*[a-z]\w*", target.id):
                yield target.id


def small_packages(sources: Sequence[Source]) -> dict[str, str]:
    """Folders of few lines of code, or of one module: why each is small."""
    files: defaultdict[str, list[Source]] = defaultdict(list)
    for source in sources:
        files[str(Path(source.path).parent)].append(source)
    small = {}
    for folder, inside in sorted(files.items()):
        code = sum(source.code_lines for source in inside)
        modules = [source for source in inside if not source.is_entrance]
        nested = any(other.startswith(f"{folder}/") for other in files)
        if not nested and (code < SMALL or len(modules) == 1):
            small[folder] = f"{len(modules)} modules, {code} lines of code"
    return small


def lonely_modules(sources: Sequence[Source], graph: Graph) -> dict[str, str]:
    """Tiny modules that exactly one other imports, and which."""
    users: defaultdict[str, list[str]] = defaultdict(list)
    for module, imported in graph.items():
        for to in imported:
            users[to].append(module)
    return {
        source.module: users[source.module][0]
        for source in sources
        if source.lines < TINY and not source.is_entrance and len(users[source.module]) == 1
    }


def room_sizes(sources: Sequence[Source]) -> dict[str, dict[str, int]]:
    sizes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for source in sources:
        sizes[source.room] += Counter(files=1, lines=source.lines, code=source.code_lines)
    return {room: dict(size) for room, size in sorted(sizes.items())}


def function_sizes(sources: Sequence[Source]) -> dict[str, Any]:
    sizes = sorted(
        (node.lineno - (node.end_lineno or node.lineno) - 1, source.path, node.name)
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    lines = sorted(-size for size, _, _ in sizes)
    return {
        "count": len(lines),
        "median": median(lines or [0]),
        "p90": lines[math.ceil(0.9 * len(lines)) - 1] if lines else 0,
        "longest": [{"name": name, "path": path, "lines": -n} for n, path, name in sizes[:5]],
    }


def words(sources: Sequence[Source]) -> dict[str, int]:
    """How often each word of our own stands in an identifier: `found`, `found_at`, `FoundError`."""
    parts = Counter(
        part.lower()
        for source in sources
        for node in ast.walk(source.tree)
        if not isinstance(node, ast.Constant)
        for _, value in ast.iter_fields(node)
        for name in (value if isinstance(value, list) else [value])
        if isinstance(name, str)
        for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    )
    return {word: parts[word] for word in OUR_WORDS}
