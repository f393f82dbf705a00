"""What `prober probe NAME` shows: all of one canary on one screen.

Lines of text only: nothing here prints, and nothing a provider says can be markup.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.text import Text

from prober.cli import waterfall
from prober.cli.console import cut, say_retried
from prober.cli.waterfall import say_ms
from prober.probing.capture import printable
from prober.sample import Fault, Limits, Outcome, Room, Sample
from switch.flag import say_duration

if TYPE_CHECKING:
    from prober.cli.probe_run import Probed

WIDEST = 100
HEADER = 100
LABEL = 12

# What an outcome means for the flag, in words.
FAULTS = {
    Fault.PROVIDER: "counts against the provider",
    Fault.CAPACITY: "a rate limit that passes; counted at the base rate only",
    Fault.PATH: "theirs or our own network's; counts once ours is known to work",
    Fault.QUALITY: "counts in the quality objective only",
    Fault.ACCOUNT: "the account's, and no outage; it takes a person",
    Fault.CANARY: "our own canary's; never counted against the provider",
}


def screen(probed: Probed, at: str, width: int) -> list[Text]:
    """One provider. `at` is its time as people read it; no line is wider than `width`."""
    width = min(width, WIDEST)
    sample = probed.sample
    rows = [
        ("answer", _answer(probed), ""),
        ("tokens", _tokens(sample), ""),
        ("", too_long(probed), "yellow"),
        ("speed", _speed(sample), ""),
        ("cost", _cost(probed), ""),
        ("limits", _limits(sample.limits), "yellow" if _tight(sample.limits) else ""),
        ("gateway", _gateway(sample), "yellow"),
        ("certificate", *_certificate(probed)),
        ("request id", cut(sample.request_id or "", HEADER), ""),
        *_health(probed),
    ]
    return [
        *_headline(probed, width),
        *_row("", f"{_place(probed)}, {at}", width, "dim"),
        Text(),
        *waterfall.lines(sample, probed.tape, width),
        Text(),
        *(line for name, value, style in rows for line in _row(name, value, width, style)),
        *_headers(probed.headers, width),
    ]


def _headline(probed: Probed, width: int) -> list[Text]:
    sample = probed.sample
    colour = "green" if sample.ok else "red"
    words, code = sample.words, sample.outcome.value
    status = f", HTTP {sample.http_status}" if sample.http_status else ", no answer"
    first = Text.assemble(
        (f"{sample.provider}: ", "bold"),
        (words, f"bold {colour}"),
        f"{'' if code == words else f' ({code})'}{status}, {say_ms(sample.phases.total_s)}",
    )
    if sample.ok:
        return [first]
    return [
        first,
        *_row("why", sample.detail, width, ""),
        *_row("fault", FAULTS[sample.fault], width, ""),
    ]


def _place(probed: Probed) -> str:
    provider, tape = probed.provider, probed.tape
    version = tape.status.partition(" ")[0] if tape.status.startswith("HTTP") else ""
    proxy = f"through proxy {tape.proxy}" if tape.proxy else ""
    words = [probed.sample.model, provider.api, provider.url, proxy, version]
    return " · ".join(probed.scrub(word) for word in words if word)


def _row(name: str, value: str, width: int, style: str) -> list[Text]:
    """The name, then the words with the rest of them below; nothing where there are none."""
    value = printable(value)
    if not name:
        return [Text(f"  {line}", style) for line in textwrap.wrap(value, width - 2)]
    lines = textwrap.wrap(value, width - LABEL - 3, break_on_hyphens=False)
    return [
        Text.assemble((f"  {name if at == 0 else '':<{LABEL}} ", "dim"), (line, style))
        for at, line in enumerate(lines)
    ]


def _answer(probed: Probed) -> str:
    answer = probed.answer
    if not answer:
        return "no visible text"
    right = {Outcome.OK: ", as it should be", Outcome.WRONG_ANSWER: ", which is wrong"}
    return f'"{answer}"{right.get(probed.sample.outcome, "")}'


def _tokens(sample: Sample) -> str:
    tokens = sample.tokens
    if tokens.input is None and tokens.output is None:
        return "nobody counted"
    cached = f" ({tokens.cached:,} of them cached)" if tokens.cached else ""
    thought = f" ({tokens.reasoning:,} of them reasoning)" if tokens.reasoning else ""
    return f"{count(tokens.input)} in{cached}, {count(tokens.output)} out{thought}"


def too_long(probed: Probed) -> str:
    """A remark about a server that ignores the bound on its answers' length; nothing is wrong."""
    asked, tokens = probed.provider.max_tokens, probed.sample.tokens
    # Hidden ones are bounded by some and not by others.
    got = (tokens.output or 0) - (tokens.reasoning or 0)
    if got <= asked:
        return ""
    return f"asked for {asked:,} tokens at the most, got {got:,}: the server ignores the bound"


def contradicted(probed: Probed) -> bool:
    """The health check says that all is well, and the canary that the server is not.

    After our own key or our own canary failed there is nothing to contradict.
    """
    health, ours = probed.health, (Fault.ACCOUNT, Fault.CANARY, Fault.NONE)
    return health is not None and health.fine and probed.sample.fault not in ours


def _gateway(sample: Sample) -> str:
    """Half of an upstream may be down behind answers that are all good."""
    retried = say_retried(sample.retried)
    return f"{retried}: its upstream failed first" if retried else ""


def _speed(sample: Sample) -> str:
    if sample.tokens_per_s is None:
        return ""
    return f"{sample.tokens_per_s:,.1f} tokens/s after the first text"


def _cost(probed: Probed) -> str:
    sample, price = probed.sample, probed.provider.price
    if price.input == price.output == 0:
        return "no price is configured"
    nobody = sample.tokens.input is None and sample.tokens.output is None
    worst = ", taken for the worst: nobody counted" if nobody and sample.cost_usd else ""
    return f"{say_usd(sample.cost_usd)}{worst}"


def say_usd(usd: float) -> str:
    """$0.000062, $1.20: two digits that say something."""
    return f"${usd:.2f}" if usd >= 1 or usd == 0 else f"${usd:.6f}"


def count(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"


def _limits(limits: Limits | None) -> str:
    if limits is None:
        return ""
    parts = [
        _room(what, room)
        for what, room in (("requests", limits.requests), ("tokens", limits.tokens))
        if room != Room()
    ]
    if limits.retry_after_s is not None:
        parts.append(f"asks to wait {say_duration(limits.retry_after_s)}")
    return ", ".join(parts)


def _room(what: str, room: Room) -> str:
    of = f" of {room.limit:,}" if room.limit is not None else ""
    full = f" (full again in {say_ms(room.reset_s)})" if (room.reset_s or 0) >= 1 else ""
    return f"{count(room.remaining)}{of} {what} left{full}"


def _tight(limits: Limits | None) -> bool:
    """Less than a tenth is left, or we are asked to wait."""
    if limits is None:
        return False
    return limits.retry_after_s is not None or any(
        room.remaining is not None and room.limit and room.remaining < room.limit / 10
        for room in (limits.requests, limits.tokens)
    )


def _certificate(probed: Probed) -> tuple[str, str]:
    seen, now = probed.certificate, probed.sample.started_at
    if seen is None:
        return "", ""
    return seen.clause(now), "yellow" if seen.ends_soon(now) else ""


def _health(probed: Probed) -> Iterable[tuple[str, str, str]]:
    health = probed.health
    if health is None:
        return
    answer = f"{health.status} in {say_ms(health.took_s)}" if health.status else "no answer"
    text = f": {health.said}" if health.said else ""
    yield "health", f"{health.url} says {answer}{text}", ""
    if contradicted(probed):
        yield (
            "",
            "Its health check says that all is well; the canary says that it is not.",
            "yellow",
        )
    if not health.fine and probed.sample.ok:
        yield "", "The canary is answered well, whatever its health check says.", "yellow"


def _headers(headers: dict[str, str], width: int) -> list[Text]:
    """As many on a line as fit; a header is broken only where it is longer than a line."""
    room = width - LABEL - 3
    lines: list[str] = []
    for name, value in headers.items():
        text = f"{name}: {cut(value, HEADER)}"
        if lines and len(lines[-1]) + len(text) + 3 <= room:
            lines[-1] += f" · {text}"
        else:
            lines += textwrap.wrap(text, room, break_on_hyphens=False)
    label = "headers"
    rows = []
    for line in lines:
        rows.append(Text(f"  {label:<{LABEL}} {line}", "dim"))
        label = ""
    return rows
