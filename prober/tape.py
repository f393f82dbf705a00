"""The raw exchange of one canary, for a person to read; every secret is taken out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from prober.providers.base import Request

MAX_BYTES = 1_000_000
# Never shown, known secret or not.
HIDDEN = frozenset(
    {
        "authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key",
        "x-amz-security-token", "helicone-auth", "x-portkey-api-key", "cookie", "set-cookie",
    }
)  # fmt: skip


@dataclass
class Tape:
    """Filled by `probe`; written by `text`."""

    request: Request | None = None
    status: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: list[tuple[float, bytes]] = field(default_factory=list)
    _kept: int = 0

    def chunk(self, at_s: float, data: bytes) -> None:
        room = MAX_BYTES - self._kept
        if room > 0:
            self.chunks.append((at_s, data[:room]))
            self._kept += len(data)

    def text(self, scrub: Callable[[str], str]) -> str:
        """The exchange: what was sent, what came back and when; without a secret in it."""
        lines: list[str] = []
        if self.request is not None:
            lines.append(f"> {self.request.method} {self.request.url}")
            lines += [f"> {name}: {value}" for name, value in shown(self.request.headers)]
            lines += ["", *_body(self.request.body)]
        if self.status:
            lines += ["", f"< {self.status}"]
            lines += [f"< {name}: {value}" for name, value in shown(self.headers)]
        for at_s, data in self.chunks:
            lines += ["", f"# {at_s:.3f} s, {len(data)} bytes", *_body(data)]
        return scrub("\n".join(lines) + "\n")


def shown(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    return [
        (name, "***" if name.lower() in HIDDEN else _printable(value))
        for name, value in headers.items()
    ]


def _body(data: bytes) -> list[str]:
    return [_printable(line) for line in data.decode("utf-8", "backslashreplace").split("\n")]


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\t" else repr(c)[1:-1] for c in text)
