"""What one answer said, gathered from its events, and the outcome that follows. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prober.providers import finish
from prober.providers.events import (
    Closed,
    Failure,
    Reasoning,
    Stop,
    Stopped,
    StreamEvent,
    Terminal,
    Text,
    Usage,
)
from prober.providers.thinking import Thinking
from prober.sample import Outcome, Tokens

if TYPE_CHECKING:
    from prober.canary import Canary

MAX_TEXT = 4_000
# A check may be dear, and some models say in each chunk that they are done.
MAX_CHECKS = 16
# Reasons to finish that a later one may replace.
_PASSING = frozenset({Stop.END, Stop.LENGTH, Stop.UNKNOWN})


@dataclass(slots=True)
class Transcript:
    """Takes events in their order, each with its time in seconds since the canary's start."""

    text: str = ""
    stopped: Stopped | None = None
    terminal: bool = False
    closed: bool = False
    failure: Failure | None = None
    tokens: Tokens = field(default_factory=Tokens)
    first_event_s: float | None = None
    first_reasoning_s: float | None = None
    first_text_s: float | None = None
    terminal_s: float | None = None

    _thinking: Thinking = field(default_factory=Thinking, repr=False, compare=False)
    _checks: int = field(default=0, repr=False, compare=False)
    _right: bool | None = field(default=None, repr=False, compare=False)

    def take(self, event: StreamEvent, at_s: float) -> None:
        if self.first_event_s is None:
            self.first_event_s = at_s
        if type(event) is Text:  # nearly all of a long answer, so before the rest
            self._read(event.text, at_s)
            return
        match event:
            case Reasoning():
                self._thought(at_s)
            case Usage():
                self._count(event)
            case Stopped():
                # A refusal or a failure said once stays said, whatever comes after it.
                if self.stopped is None or self.stopped.stop in _PASSING:
                    self.stopped = event
            case Terminal(last):
                self.terminal, self.closed = True, self.closed or last
                self._end(at_s)
            case Closed():
                self.closed = True
                self._end(at_s)
            case Failure():
                self.failure = self.failure or event
                self._end(at_s)
            case _:
                pass

    def _read(self, piece: str, at_s: float) -> None:
        shown = self._thinking.take(piece)
        if shown.undone:
            self.text = ""
            self._thought(at_s if self.first_text_s is None else self.first_text_s)
            self.first_text_s = None
        elif shown.thought:
            self._thought(at_s)
        self._show(shown.text, at_s)

    def _show(self, text: str, at_s: float) -> None:
        if self.first_text_s is None and text.strip():
            self.first_text_s = at_s
        if len(self.text) < MAX_TEXT:
            self.text += text[:MAX_TEXT]
        self._right = None
        if self.terminal and not self.closed:
            self.terminal_s = at_s  # the end that was said before was none

    def _end(self, at_s: float) -> None:
        if self.terminal_s is None:
            self.terminal_s = at_s

    def _thought(self, at_s: float) -> None:
        if self.first_reasoning_s is None:
            self.first_reasoning_s = at_s

    def over(self, canary: Canary) -> bool:
        """Whether nothing more is waited for but the connection's own end.

        Some models say in each chunk that they are done: a plain end is believed when the answer is
        right, or when nothing can follow any more.
        """
        if self.closed or self.failure is not None:
            return True
        if not self.terminal:
            return False
        if self.stopped is not None and self.stopped.stop not in (Stop.END, Stop.UNKNOWN):
            return True
        if self._right is None and self._checks < MAX_CHECKS:
            self._checks += 1
            self._right = canary.right(self.text)
        return bool(self._right)

    @property
    def ended(self) -> bool:
        """The answer has said all that its outcome needs; the connection's fate is not its own."""
        return self.terminal or self.failure is not None

    def too_large(self, max_bytes: int) -> None:
        """The answer passed its bound; it is read no further."""
        self.failure = Failure(Outcome.STREAM_ERROR, f"more than {max_bytes} bytes")

    def _count(self, usage: Usage) -> None:
        known = self.tokens
        self.tokens = Tokens(
            input=known.input if usage.input is None else usage.input,
            output=known.output if usage.output is None else usage.output,
            reasoning=known.reasoning if usage.reasoning is None else usage.reasoning,
            cached=known.cached if usage.cached is None else usage.cached,
        )

    def conclude(self, canary: Canary) -> tuple[Outcome, str]:
        """The outcome of an answer that came with HTTP success and ended by itself."""
        if held := self._thinking.close():
            self._show(held, self.terminal_s or self.first_event_s or 0.0)
        if self.failure is not None:
            return self.failure.outcome, self.failure.detail or "an error without a word"
        stop, word = (self.stopped.stop, self.stopped.word) if self.stopped else (None, "")
        if stop in finish.FAILED:
            cut = stop is Stop.CUT
            return (
                Outcome.STREAM_TRUNCATED if cut else Outcome.STREAM_ERROR,
                f"the model stopped with {word!r}, before its end",
            )
        if stop is Stop.UNKNOWN:
            return Outcome.STREAM_ERROR, f"stopped with {word!r}, which is not known as an end"
        if not self.terminal or stop is None:
            return Outcome.STREAM_TRUNCATED, self._endless()
        if stop is Stop.REFUSAL:
            return Outcome.REFUSAL, "the model refused or was filtered"
        if self.first_text_s is None:
            if stop is Stop.LENGTH:
                return Outcome.BUDGET_TOO_SMALL, "cut by length before any visible text"
            return Outcome.EMPTY_COMPLETION, "the answer held no visible text"
        answer = self.text.strip()
        if canary.cut_short(answer):
            # A length is our own bound: the prompt is short. Any other end was made up.
            if stop is Stop.LENGTH:
                return Outcome.BUDGET_TOO_SMALL, f"cut by length after {answer!r}"
            return Outcome.STREAM_TRUNCATED, f"ended with {word!r} after {answer!r}, half an answer"
        if not (canary.right(self.text) if self._right is None else self._right):
            return Outcome.WRONG_ANSWER, f"answered {answer[:80]!r}"
        return Outcome.OK, ""

    def _endless(self) -> str:
        if self.first_event_s is None:
            return "the answer was empty or no stream of this API"
        if self.terminal or self.closed:
            return "the end marker came without a reason to finish"
        return "the stream ended without its end marker"
