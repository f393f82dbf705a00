"""What every official SDK must make of the emulator; each vendor's file says how it is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any, ClassVar

import pytest

from prober.emulator import Emulator
from prober.emulator.answer import REFUSAL, THOUGHT

NONCE = "n0nce-42"
PROMPT = f"{NONCE}\nReply with exactly the first word of this message and nothing else."


@dataclass
class Said:
    """An answer as the SDK told it.

    Attributes:
        parts: ("text" or "thought", its words), in their order.
        stop: why it ended, in the API's own word; None: it never said.
        refusal: its words, where they have a place of their own.
    """

    parts: list[tuple[str, str]] = field(default_factory=list)
    stop: str | None = None
    refusal: str = ""

    def say(self, kind: str, words: str | None) -> None:
        if words:
            self.parts.append((kind, words))

    @property
    def texts(self) -> list[str]:
        return [words for kind, words in self.parts if kind == "text"]


@dataclass(frozen=True)
class Fails:
    """Under these faults a call raises `error`, which `status` (None: whatever) and words tell.

    An error by its name, "anthropic:APIError", is imported when it is asked for.
    """

    error: type[Exception] | str
    status: int | None = None
    words: str = ""
    faults: dict[str, Any] = field(default_factory=dict)

    @property
    def raised(self) -> type[Exception]:
        found = resolve_name(self.error) if isinstance(self.error, str) else self.error
        assert issubclass(found, Exception)
        return found

    @property
    def name(self) -> str:
        return "-".join([next(iter(self.faults)), *map(str, list(self.faults.values())[1:])])


def fails(
    error: type[Exception] | str, status: int | None = None, words: str = "", /, **faults: Any
) -> Fails:
    """As a line of a table."""
    return Fails(error, status, words, faults)


class Contract:
    """The tests; a subclass fills in the rest.

    Attributes:
        api: as in the emulator's rules.
        failures: what is raised by a call, streamed or not.
        in_stream: what is raised in the middle of a stream.
        stops: the words for the end, for the length and for a refusal.
        refusal: its words, streamed and whole.
    """

    api: ClassVar[str]
    failures: ClassVar[Sequence[Fails]]
    in_stream: ClassVar[Sequence[Fails]]
    stops: ClassVar[tuple[str, str, str]]
    refusal: ClassVar[tuple[str, str]] = (REFUSAL, REFUSAL)

    @classmethod
    def opened(cls, url: str) -> AbstractContextManager[Any]:
        """The SDK's client for an emulator at `url`."""
        raise NotImplementedError

    @staticmethod
    def ask(client: Any, stream: bool) -> Said:
        """Asks for the answer to PROMPT."""
        raise NotImplementedError

    @staticmethod
    def status(error: Any) -> int:
        return int(error.status_code)

    @staticmethod
    def words(error: Any) -> str:
        return str(error)

    @pytest.fixture(scope="class")
    @classmethod
    def client(cls, served: Emulator) -> Iterator[Any]:
        with cls.opened(served.url) as client:
            yield client

    def test_a_stream_brings_the_nonce_in_several_pieces(
        self, emulator: Emulator, client: Any
    ) -> None:
        said = self.ask(client, stream=True)
        assert "".join(said.texts) == NONCE
        assert (len(said.texts), said.stop) == (3, self.stops[0])

    def test_a_whole_answer_brings_the_nonce(self, emulator: Emulator, client: Any) -> None:
        said = self.ask(client, stream=False)
        assert (said.texts, said.stop) == ([NONCE], self.stops[0])

    @pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
    def test_an_error_is_raised_as_the_sdk_names_it(
        self, emulator: Emulator, client: Any, sdk_error: Fails, stream: bool
    ) -> None:
        emulator.set_faults(self.api, **sdk_error.faults)
        with pytest.raises(sdk_error.raised) as raised:
            self.ask(client, stream=stream)
        assert self.status(raised.value) == sdk_error.status
        assert sdk_error.words in self.words(raised.value)

    def test_an_error_inside_a_stream_is_raised(
        self, emulator: Emulator, client: Any, sdk_in_stream: Fails
    ) -> None:
        emulator.set_faults(self.api, **sdk_in_stream.faults)
        with pytest.raises(sdk_in_stream.raised) as raised:
            self.ask(client, stream=True)
        assert sdk_in_stream.words in self.words(raised.value)

    def test_a_truncated_stream_never_says_why_it_ended(
        self, emulator: Emulator, client: Any
    ) -> None:
        emulator.set_faults(self.api, truncate_share=1)
        said = self.ask(client, stream=True)
        assert (len(said.texts), said.stop) == (1, None)

    @pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
    def test_a_refusal_is_told_apart(self, emulator: Emulator, client: Any, stream: bool) -> None:
        emulator.set_faults(self.api, refusal_share=1)
        said = self.ask(client, stream=stream)
        words = said.refusal or "".join(said.texts)
        assert (words, said.stop) == (self.refusal[not stream], self.stops[2])

    @pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
    def test_a_cut_by_length_has_no_text(
        self, emulator: Emulator, client: Any, stream: bool
    ) -> None:
        emulator.set_faults(self.api, length_share=1)
        said = self.ask(client, stream=stream)
        assert (said.texts, said.stop) == ([], self.stops[1])

    @pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
    def test_reasoning_comes_before_the_text(
        self, emulator: Emulator, client: Any, stream: bool
    ) -> None:
        emulator.set_faults(self.api, reasoning_pieces=2)
        said = self.ask(client, stream=stream)
        kinds = [kind for kind, _ in said.parts]
        thoughts = [words for kind, words in said.parts if kind == "thought"]
        assert "".join(thoughts) == THOUGHT * 2
        assert "".join(said.texts) == NONCE
        assert kinds == sorted(kinds, reverse=True)
        assert said.stop == self.stops[0]
