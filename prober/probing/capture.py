"""The raw exchange of one canary, for a person to read; every secret is taken out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from prober.config.secrets import names_secret, shown_url

if TYPE_CHECKING:
    from prober.providers.events import HttpRequest

MAX_BYTES = 1_000_000
# No secret is longer; so much on both sides of a cut is looked at for one that it runs through.
MAX_SECRET = 4_096

Scrub = Callable[[str], str]


@dataclass
class Capture:
    """Filled by `probe`; written by `text`.

    Attributes:
        fetched_s: how long its credentials and its signature took, before the canary began.
        sent_s: its last byte was on the way; seconds since the start, as all other times here.
        proxy: host and port of the proxy that it went through; empty: straight.
        chunks: what came back, and when.
        answer: the visible text, as far as it was kept.
    """

    request: HttpRequest | None = None
    status: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    chunks: list[tuple[float, bytes]] = field(default_factory=list, repr=False)
    fetched_s: float | None = None
    sent_s: float | None = None
    proxy: str = ""
    answer: str = field(default="", repr=False)
    _taken: int = 0

    def chunk(self, at_s: float, data: bytes) -> None:
        room = MAX_BYTES - self._taken
        self._taken += len(data)
        if room > 0:
            self.chunks.append((at_s, data[:room]))

    def text(self, scrub: Scrub) -> str:
        """The exchange: what was sent, what came back and when; without a secret in it."""
        lines: list[str] = []
        if self.request is not None:
            lines.append(f"> {self.request.method} {printable(scrub(self.request.url))}")
            lines += [f"> {name}: {value}" for name, value in shown(self.request.headers, scrub)]
            lines += ["", *_body(self.request.body.decode("utf-8", "backslashreplace"), scrub)]
        if self.status:
            lines += ["", f"< {printable(scrub(self.status))}"]
            lines += [f"< {name}: {value}" for name, value in shown(self.headers, scrub)]
        for at_s, count, chunk in _whole(self.chunks, scrub):
            blank = [""] if lines and lines[-1] else []
            lines += [*blank, f"# {at_s:.3f} s, {count} bytes", *_body(chunk, scrub)]
        if self._taken > MAX_BYTES:
            lines += ["", f"# cut here: {self._taken - MAX_BYTES} bytes more"]
        return scrub("\n".join(lines) + "\n")


def shown(headers: Mapping[str, str], scrub: Scrub) -> list[tuple[str, str]]:
    """Headers without what is, or may be, a secret."""
    return [
        (printable(scrub(name)), printable(scrub(_harmless(name, value))))
        for name, value in headers.items()
    ]


def _harmless(name: str, value: str) -> str:
    if names_secret(name):
        return "***"
    # A redirect may carry a login of the redirecting one's own, which no scrubber knows.
    return shown_url(value) if name.lower() in ("location", "content-location") else value


def printable(text: str) -> str:
    """Nothing that a terminal obeys: other characters than text become escapes."""
    return "".join(c if c.isprintable() or c == "\t" else repr(c)[1:-1] for c in text)


def save(path: Path, text: str) -> None:
    """Writes a new file that only its owner can read. Raises FileExistsError, OSError."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "w", encoding="utf-8") as opened:
        opened.write(text)


def _whole(chunks: Sequence[tuple[float, bytes]], scrub: Scrub) -> list[tuple[float, int, str]]:
    """(when, how many bytes, what): chunks that a secret runs through count as one."""
    joined: list[tuple[float, int, str]] = []
    pieces = [data.decode("utf-8", "backslashreplace") for _, data in chunks]
    text = "".join(pieces)
    end = 0
    for (at_s, data), piece in zip(chunks, pieces, strict=True):
        before, after = text[max(0, end - MAX_SECRET) : end], text[end : end + MAX_SECRET]
        end += len(piece)
        if joined and scrub(before + after) != scrub(before) + scrub(after):
            first_s, count, chunk = joined[-1]
            joined[-1] = (first_s, count + len(data), chunk + piece)
        else:
            joined.append((at_s, len(data), piece))
    return joined


def _body(text: str, scrub: Scrub) -> list[str]:
    return [printable(line) for line in scrub(text).split("\n")]
