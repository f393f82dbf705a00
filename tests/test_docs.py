"""The documents name what is there: paths, links, anchors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("tests/**/*.md")])
# What a version had stays said, whatever became of it.
PRESENT = [path for path in DOCS if path.name != "CHANGELOG.md"]

FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
PLACE = re.compile(
    r"`((?:prober|switch|tests|bench|clients|deploy|docs|migrations|tools|\.github)/[\w./@-]*)`"
)
LINK = re.compile(r"\]\(([^)\s]*)\)")
MENTIONED = re.compile(r"\bdocs/[a-z]+\.md(?:#[\w-]+)?")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
ANCHOR = re.compile(r'<a id="([^"]+)">')


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(path: Path) -> str:
    return FENCED.sub("", path.read_text("utf-8"))


def anchors(path: Path) -> set[str]:
    """What can be linked to, as GitHub makes it of headings, and the anchors set by hand."""
    text = prose(path)
    words = (re.sub(r"[^\w\s-]", "", heading).lower() for heading in HEADING.findall(text))
    return {word.strip().replace(" ", "-") for word in words} | set(ANCHOR.findall(text))


def missing(link: str, beside: Path) -> str:
    """Why a link of a document leads nowhere; empty when it does not, or leads outside."""
    place, _, anchor = link.partition("#")
    if "://" in link:
        return ""
    target = (beside.parent / place).resolve() if place else beside
    if not target.exists():
        return f"{link}: there is no {place}"
    return "" if not anchor or anchor in anchors(target) else f"{link}: {place} has no {anchor}"


@pytest.mark.parametrize("path", PRESENT, ids=named)
def test_every_path_that_a_document_names_exists(path: Path) -> None:
    gone = {place for place in PLACE.findall(prose(path)) if not (ROOT / place).exists()}
    assert gone == set()


@pytest.mark.parametrize("path", DOCS, ids=named)
def test_every_link_of_a_document_leads_somewhere(path: Path) -> None:
    dead = [why for link in LINK.findall(prose(path)) if (why := missing(link, path))]
    assert dead == []


def files() -> Iterator[Path]:
    for folder in ("prober", "switch", "tests", "bench", "clients", "deploy", "tools", ".github"):
        yield from (path for path in (ROOT / folder).rglob("*") if path.is_file())
    yield from (ROOT / "prober.toml", ROOT / "pyproject.toml", ROOT / "Makefile")


def test_every_document_that_code_and_templates_point_at_exists() -> None:
    dead = [
        f"{named(path)}: {why}"
        for path in files()
        if path.suffix != ".pyc" and path != Path(__file__)
        for link in MENTIONED.findall(path.read_text("utf-8", "replace"))
        if (why := missing(link, ROOT / "README.md"))
    ]
    assert dead == []


@pytest.mark.parametrize(
    ("link", "why"),
    [
        ("docs/contract.md#decide", ""),
        ("docs/contract.md#one-flip", ""),
        ("https://example.com/nowhere", ""),
        ("docs/nowhere.md", "docs/nowhere.md: there is no docs/nowhere.md"),
        ("docs/contract.md#nowhere", "docs/contract.md#nowhere: docs/contract.md has no nowhere"),
    ],
)
def test_a_link_that_leads_nowhere_is_known(link: str, why: str) -> None:
    assert missing(link, ROOT / "README.md") == why
