"""A prompt with a known answer, and the check of that answer. Pure.

Each check forgives case, spacing and a polite wrapper, and never a wrong answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any

import regex

_OTHER = re.compile(r"[^a-z0-9]+")
# The minus may be any that is used in print.
_NUMBER = re.compile(r"[-\u2212\u2013\u2011]?\d+(?:[.,]\d+)?")
# The operator's own pattern runs over foreign text inside the event loop.
REGEX_S = 0.05
_START = re.compile(r"[{\[]")
MAX_STARTS = 20
MISSING = object()


class Kind(StrEnum):
    """What is asked. More than `echo` needs a model that can do it."""

    ECHO = "echo"
    ARITHMETIC = "arithmetic"
    JSON = "json"
    CUSTOM = "custom"


# The visible tokens that an answer may need.
TOKENS = {Kind.ECHO: 16, Kind.ARITHMETIC: 16, Kind.JSON: 64, Kind.CUSTOM: 64}


@dataclass(frozen=True, slots=True)
class Expect:
    """What a custom prompt's answer must show; every condition that is given must hold.

    Attributes:
        contains: text, in any case and spacing.
        regex: a pattern (of the PyPI package regex) found anywhere.
        path: a value in the answer's JSON, as "answer.city" or "items.0.name".
        equals: what stands at `path`; MISSING: anything but nothing.
    """

    contains: str = ""
    regex: str = ""
    path: str = ""
    equals: Any = MISSING

    def met(self, answer: str) -> bool:
        if self.contains and _folded(self.contains) not in _folded(answer):
            return False
        if self.regex and not _found(self.regex, answer):
            return False
        if not self.path:
            return True
        value = _at(_object_in(answer), self.path)
        if self.equals is MISSING:
            return value is not MISSING and value is not None
        return _same(value, self.equals)


@dataclass(frozen=True, slots=True)
class Canary:
    """One canary's prompt. The nonce comes first, so that no prompt or prefix cache can answer."""

    nonce: str
    kind: Kind = Kind.ECHO
    a: int = 0
    b: int = 0
    text: str = ""
    expect: Expect = Expect()

    @property
    def prompt(self) -> str:
        return f"{self.nonce}\n{self._task}"

    @property
    def _task(self) -> str:
        match self.kind:
            case Kind.ECHO:
                return "Reply with exactly the first word of this message and nothing else."
            case Kind.ARITHMETIC:
                return f"What is {self.a} + {self.b}? Reply with the number alone, in digits."
            case Kind.JSON:
                return (
                    'Reply with only a JSON object with two keys: "word", the first word of this '
                    f'message as a string, and "sum", the number {self.a} + {self.b}.'
                )
            case Kind.CUSTOM:
                return self.text

    def right(self, answer: str) -> bool:
        match self.kind:
            case Kind.ECHO:
                return _plain(self.nonce) in _plain(answer)
            case Kind.ARITHMETIC:
                return self._sums_up(answer)
            case Kind.JSON:
                said = _object_in(answer)
                word = said.get("word") if isinstance(said, Mapping) else None
                right = isinstance(word, str) and _plain(word) == _plain(self.nonce)
                return right and _same(_at(said, "sum"), self.a + self.b)
            case Kind.CUSTOM:
                return self.expect.met(answer)

    def _sums_up(self, answer: str) -> bool:
        """The sum is said, and no other number than the two that were asked about."""
        rest = answer.lower().replace(self.nonce.lower(), " ")
        said = {_value(number) for number in _NUMBER.findall(rest)}
        return self.a + self.b in said and said <= {self.a, self.b, self.a + self.b}


@dataclass(frozen=True, slots=True)
class Asking:
    """How a provider's canaries are made, from the configuration."""

    kind: Kind = Kind.ECHO
    text: str = ""
    expect: Expect = Expect()

    def canary(self, chance: Random) -> Canary:
        """A new one. Two numbers of two digits: their sum is never one of them."""
        bits = chance.getrandbits(64)
        nonce, rest = f"{bits & 0xFFFFFFFF:08x}", bits >> 32
        a, b = 11 + rest % 89, 11 + rest // 89 % 89
        return Canary(nonce, self.kind, a, b, self.text, self.expect)

    @property
    def prompt_tokens(self) -> int:
        """More than any prompt of this kind needs, for reserving money; a token a character."""
        return 100 + len(self.text)


def _value(number: str) -> float:
    minus = not number[0].isdigit()
    return (-1 if minus else 1) * float(number[minus:].replace(",", "."))


def _plain(text: str) -> str:
    return _OTHER.sub("", text.lower())


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _found(pattern: str, answer: str) -> bool:
    try:
        return regex.search(pattern, answer, timeout=REGEX_S) is not None
    except TimeoutError:
        return False


def _object_in(answer: str) -> Any:
    """The first JSON object in an answer that may wrap it in words or a code fence, or the list
    that holds it; without any, the first list."""
    found: Any = MISSING
    end = 0
    for start in [start.start() for start in _START.finditer(answer)][:MAX_STARTS]:
        if start < end:
            continue  # inside what was read already
        try:
            value, end = json.JSONDecoder().raw_decode(answer, start)
        except (ValueError, RecursionError):
            continue  # a bracket among words
        if isinstance(value, Mapping) or any(isinstance(one, Mapping) for one in value):
            return value
        found = value if found is MISSING else found
    return found


def _at(value: Any, path: str) -> Any:
    for step in path.split("."):
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return MISSING
    return value


def _same(value: Any, wanted: Any) -> bool:
    """Equal; true is not 1, text in any case and spacing, 42 is 42.0 and "42" is neither."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, str) and isinstance(wanted, str):
        return _folded(value) == _folded(wanted)
    if isinstance(value, list) and isinstance(wanted, list):
        return len(value) == len(wanted) and all(map(_same, value, wanted))
    if isinstance(value, Mapping) and isinstance(wanted, Mapping):
        return value.keys() == wanted.keys() and all(_same(value[k], wanted[k]) for k in wanted)
    return bool(value == wanted)
