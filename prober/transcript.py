"""What one answer said, gathered from its events, and the outcome that follows. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from prober.canary import Canary
from prober.providers.base import (
    Event,
    Failure,
    Reasoning,
    Stop,
    Stopped,
    Terminal,
    Text,
    Usage,
)
from prober.sample import Outcome, Tokens

MAX_TEXT = 4_000


@dataclass(slots=True)
class Transcript:
    """Takes events in their order, each with its time in seconds since the canary's start."""

    text: str = ""
    stop: Stop | None = None
    terminal: bool = False
    failure: Failure | None = None
    tokens: Tokens = field(default_factory=Tokens)
    first_event_s: float | None = None
    first_reasoning_s: float | None = None
    first_text_s: float | None = None
    terminal_s: float | None = None

    def take(self, event: Event, at_s: float) -> None:
        if self.first_event_s is None:
            self.first_event_s = at_s
        if type(event) is Text:  # nearly all of a long answer, so before the rest
            if self.first_text_s is None and event.text.strip():
                self.first_text_s = at_s
            if len(self.text) < MAX_TEXT:
                self.text += event.text[:MAX_TEXT]
            return
        match event:
            case Reasoning():
                if self.first_reasoning_s is None:
                    self.first_reasoning_s = at_s
            case Usage():
                self._count(event)
            case Stopped(stop):
                # A refusal said once stays said, whatever the finish reason is.
                self.stop = self.stop if self.stop is Stop.REFUSAL else stop
            case Terminal():
                self.terminal, self.terminal_s = True, at_s
            case Failure():
                self.failure = self.failure or event
            case _:
                pass

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
        if self.failure is not None:
            return self.failure.outcome, self.failure.detail
        if self.stop is Stop.ERROR:
            return Outcome.STREAM_ERROR, "the model stopped with an error"
        if not self.terminal:
            if self.first_event_s is None:
                return Outcome.STREAM_TRUNCATED, "the answer was empty or no stream of this API"
            return Outcome.STREAM_TRUNCATED, "the stream ended without its end marker"
        if self.stop is Stop.REFUSAL:
            return Outcome.REFUSAL, "the model refused or was filtered"
        if self.first_text_s is None:
            if self.stop is Stop.LENGTH:
                return Outcome.BUDGET_TOO_SMALL, "cut by length before any visible text"
            return Outcome.EMPTY_COMPLETION, "the answer held no visible text"
        if not canary.right(self.text):
            return Outcome.WRONG_ANSWER, f"answered {self.text.strip()[:80]!r}"
        return Outcome.OK, ""
