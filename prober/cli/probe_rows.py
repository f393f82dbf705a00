"""What `prober probe` shows of several providers: a row each, then why, then the sum.

Lines of text only, like `prober.cli.probe_screen`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from prober.cli.console import say_retried
from prober.cli.probe_screen import WIDEST, contradicted, count, say_usd, too_long
from prober.cli.waterfall import say_ms
from prober.probing.capture import printable

if TYPE_CHECKING:
    from prober.cli.probe_run import Probed
    from prober.sample import Sample

# Wide enough for every column, and for most; on less only what matters most is shown.
WIDE, NARROW = 100, 72
# So many failures are named in the last line.
NAMED = 3


@dataclass(frozen=True, slots=True)
class RowColumn:
    heading: str
    width: int
    say: Callable[[Sample], str]
    least: int = NARROW


def _connected(sample: Sample) -> str:
    seen = sample.phases
    kept = not sample.new_connection and seen.first_byte_s is not None
    return "kept" if kept else say_ms(seen.tls_s or seen.connect_s)


def _speed(sample: Sample) -> str:
    return "–" if sample.tokens_per_s is None else f"{sample.tokens_per_s:,.0f}"


def _paid(sample: Sample) -> str:
    """A dash where nothing was paid, or where no price says how much."""
    return f"{sample.cost_usd:.6f}" if sample.cost_usd else "–"


COLUMNS = (
    RowColumn("outcome", -18, lambda sample: sample.outcome.value, least=0),
    RowColumn("connect", 8, _connected),
    RowColumn("first byte", 10, lambda sample: say_ms(sample.phases.first_byte_s), least=WIDE),
    RowColumn("first text", 10, lambda sample: say_ms(sample.phases.first_text_s)),
    RowColumn("total", 8, lambda sample: say_ms(sample.phases.total_s), least=0),
    RowColumn("out", 5, lambda sample: count(sample.tokens.output)),
    RowColumn("tokens/s", 8, _speed, least=WIDE),
    RowColumn("USD", 9, _paid),
)


class Rows:
    """Rows of one width. `out` is output tokens; `connect` ends with TLS where there is any."""

    def __init__(self, names: Iterable[str], width: int) -> None:
        self._columns = [c for c in COLUMNS if width >= c.least]
        room = width - sum(abs(c.width) + 1 for c in self._columns) - 1
        self._name_width = max(8, min(room, max(map(len, names), default=0)))

    def heading(self) -> Text:
        return Text(self._line("provider", [c.heading for c in self._columns]), "bold")

    def waiting(self, name: str, seconds: float | None) -> Text:
        """`seconds` since it was asked; None: its turn has not come."""
        text = "waits" if seconds is None else f"… {seconds:.1f} s"
        return Text(self._line(name, [text]), "dim")

    def row(self, sample: Sample) -> Text:
        line = Text(self._line(sample.provider, [c.say(sample) for c in self._columns]))
        start = self._name_width + 2
        line.stylize("green" if sample.ok else "red", start, start + len(sample.outcome.value))
        return line

    def _line(self, name: str, cells: Sequence[str]) -> str:
        width = self._name_width
        shown = name if len(name) <= width else f"{name[: width - 1]}…"
        padded = [
            cell.ljust(-column.width) if column.width < 0 else cell.rjust(column.width)
            for cell, column in zip(cells, self._columns, strict=False)
        ]
        return f"{shown:<{width}}  {' '.join(padded)}".rstrip()


def notes(answers: Iterable[Probed], width: int) -> list[Text]:
    """Why each bad canary was bad, whose health check disagrees, and what a good one hides."""
    return [
        Text(line, style)
        for probed in answers
        for note, style in _notes(probed)
        for line in textwrap.wrap(printable(note), min(width, WIDEST), subsequent_indent="  ")
    ]


def _notes(probed: Probed) -> Iterator[tuple[str, str]]:
    """(the words, their style)."""
    sample, health, certificate = probed.sample, probed.health, probed.certificate
    if not sample.ok:
        but = ""
        if health is not None and contradicted(probed):
            but = f"; but {health.url} says that all is well"
        yield f"{sample.provider}: {sample.detail.rstrip('.')}{but}", ""
    elif retried := say_retried(sample.retried):
        yield f"{sample.provider}: {retried}", "yellow"
    if remark := too_long(probed):
        yield f"{sample.provider}: {remark}", "yellow"
    if certificate is not None and certificate.ends_soon(sample.started_at):
        sentence = certificate.sentence(probed.provider.host, sample.started_at)
        yield f"{sample.provider}: {sentence}", "yellow"


def summary(answers: Sequence[Probed], not_asked: int) -> Text:
    """The sum in one line, with the first few that failed; all of them stand above."""
    bad = [p.sample for p in answers if not p.sample.ok]
    text = f"{len(answers) - len(bad)} of {len(answers)} ok, {_spent(answers)}"
    if bad:
        named = ", ".join(f"{s.provider} ({s.words})" for s in bad[:NAMED])
        more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        text += f"; not ok: {named}{more}"
    if not_asked:
        text += f"; {not_asked} could not be asked"
    return Text(text, "bold red" if bad or not_asked else "bold green")


def _spent(answers: Sequence[Probed]) -> str:
    priced = [p for p in answers if p.provider.price.input or p.provider.price.output]
    if not priced:
        return "no price is configured"
    spent = say_usd(sum(p.sample.cost_usd for p in priced))
    unknown = len(answers) - len(priced)
    return f"{spent} spent" + (f" ({unknown} without a price)" if unknown else "")
