"""The model: what it answers, and in which pieces and pauses an answer goes out. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice, repeat

from prober.emulator.faults import Faults, InjectedFault
from prober.emulator.prompts import understood
from prober.emulator.wire import ApiCall, ModelAnswer, Stamp, StopReason, Stream

WRONG = "That was something else entirely."
REFUSAL = "I'm sorry, but I can't help with that."
# Not the answer: who takes it for that is wrong.
THOUGHT = "Let me think about this. "
COMMENT = b": OPENROUTER PROCESSING\n\n"
FILLER = "more and more text, " * 200
LENGTH_TOKENS = 16

TimedBytes = tuple[float, bytes]


def answer(call: ApiCall, stamp: Stamp, fault: InjectedFault, faults: Faults) -> ModelAnswer:
    """The right answer, or the one that the fault wants."""
    text, stop, refusal = faults.says or understood(call.prompt), StopReason.END, ""
    match fault:
        case InjectedFault.WRONG_ANSWER:
            text = WRONG
        case InjectedFault.HALF:
            text = text[: len(text) // 2]
        case InjectedFault.EMPTY:
            text = ""
        case InjectedFault.LENGTH:
            text, stop = "", StopReason.LENGTH
        case InjectedFault.REFUSAL:
            text, stop, refusal = "", StopReason.REFUSAL, REFUSAL
    if faults.thinks_aloud and text:
        text = f"<think>\n{THOUGHT}\n</think>\n\n{text}"
    pieces = pieces_of(text)
    if faults.huge_bytes and fault is InjectedFault.NONE:
        pieces = (FILLER,) * -(-faults.huge_bytes // len(FILLER))
    reasoning = (THOUGHT,) * faults.reasoning_pieces
    reasoned = tokens(len(THOUGHT) * len(reasoning)) if reasoning else 0
    spent = reasoned + tokens(sum(map(len, pieces)) + len(refusal))
    if stop is StopReason.LENGTH:
        # Without a word: reasoning took it all.
        reasoned = spent = LENGTH_TOKENS
    return ModelAnswer(
        call,
        stamp,
        pieces,
        stop,
        input_tokens=tokens(len(call.prompt)),
        output_tokens=spent,
        refusal=refusal,
        reasoning=reasoning,
        reasoning_tokens=reasoned,
    )


def pieces_of(text: str) -> tuple[str, ...]:
    """Two or three pieces, as a model streams them."""
    size = max(1, -(-len(text) // 3))
    return tuple(text[start : start + size] for start in range(0, len(text), size))


def tokens(characters: int) -> int:
    """About four characters each, and one for the end."""
    return 1 + -(-characters // 4)


def first_text_s(faults: Faults) -> float:
    return faults.ttft_s * faults.latency_factor


def pause_s(faults: Faults) -> float:
    return faults.tokens_pause_s * faults.latency_factor


def whole_s(answer: ModelAnswer, faults: Faults) -> float:
    """How long an answer in one piece takes, in seconds."""
    return first_text_s(faults) + pause_s(faults) * max(0, len(answer.pieces) - 1)


def halves(body: bytes) -> Stream:
    """An answer in one piece, as a stream that can be cut."""
    middle = len(body) // 2
    return Stream(opening=(body[:middle],), texts=(), closing=(body[middle:],))


def script(
    stream: Stream,
    fault: InjectedFault,
    first_s: float = 0.0,
    pause_s: float = 0.0,
    error: bytes = b"",
) -> Iterator[TimedBytes]:
    """The stream as (seconds to wait before it, bytes), cut as the fault wants it.

    `error` ends the stream of an IN_STREAM_ERROR.
    """
    match fault:
        case InjectedFault.STALL:
            yield next(_steps(stream, first_s, pause_s))
        case InjectedFault.TRUNCATE:
            yield from _steps(_beginning(stream), first_s, pause_s)
        case InjectedFault.IN_STREAM_ERROR:
            yield from _steps(_beginning(stream), first_s, pause_s)
            yield 0, error
        case _:
            yield from _steps(stream, first_s, pause_s)


def _beginning(stream: Stream) -> Stream:
    return Stream(stream.opening, islice(stream.texts, 1), (), stream.thoughts)


def _steps(stream: Stream, first_s: float, pause_s: float) -> Iterator[TimedBytes]:
    yield from ((0, event) for event in stream.opening)
    # Thinking is part of the time to the first text.
    silent_s = first_s / (1 + len(stream.thoughts))
    yield from ((silent_s, event) for event in stream.thoughts)
    for event, wait_s in zip(stream.texts, chain([silent_s], repeat(pause_s)), strict=False):
        yield wait_s, event
        silent_s = 0
    for event in stream.closing:
        # An answer without text takes its time too.
        yield silent_s, event
        silent_s = 0
