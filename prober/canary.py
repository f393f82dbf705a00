"""A prompt with a known answer, and the check of that answer. Pure.

Each check forgives case, spacing and a polite wrapper, and never a wrong answer. A wrapper is
a few words that only hand the answer over: whoever says anything more has not answered
("I can't find ab12cd34" is a complaint about the prompt, and holds its first word).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
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
_WORD = re.compile(r"[^\W_]+")
# What stands between an answer and a question mark that doubts it.
_DOUBTED = re.compile(r"""["'`*_”’»)\]\s]*\?""")

# The words that hand an answer over. None of them can refuse, doubt or complain; "with", "exactly"
# and "nothing" are left out, so that the prompt given back is no answer.
_HANDS_OVER = """
a absolutely again am and answer anything are as asked assistant be begins bot certainly correct
course d did else final first following for from gave glad go got happy have help here i in is it
json just ll m me message my of ok okay on output plain plaintext please prompt provided provides
re read reads repeat repeated reply requested response result right s said say says see sent
single so starts string sure text thank thanks that the then there these this to token txt
understood user ve very was welcome well will word would write wrote yes you your
"""
_SUMS = """
add added adding addition adds boxed calculation digits equal equals gives make makes number
numbers plus sum together total two
"""
HANDS_OVER = frozenset(_HANDS_OVER.split())
SUMS = frozenset(_SUMS.split())
TABLES = frozenset({"key", "keys", "object", "set", "sum", "two", "value", "values"})
# More words than the longest of them needs is no wrapper.
MOST_WORDS = 16
MISSING = object()


class CanaryKind(StrEnum):
    """What is asked. More than `echo` needs a model that can do it."""

    ECHO = "echo"
    ARITHMETIC = "arithmetic"
    JSON = "json"
    CUSTOM = "custom"


# The visible tokens that an answer may need.
TOKENS = {
    CanaryKind.ECHO: 16,
    CanaryKind.ARITHMETIC: 16,
    CanaryKind.JSON: 64,
    CanaryKind.CUSTOM: 64,
}


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
    kind: CanaryKind = CanaryKind.ECHO
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
            case CanaryKind.ECHO:
                return "Reply with exactly the first word of this message and nothing else."
            case CanaryKind.ARITHMETIC:
                return f"What is {self.a} + {self.b}? Reply with the number alone, in digits."
            case CanaryKind.JSON:
                return (
                    'Reply with only a JSON object with two keys: "word", the first word of this '
                    f'message as a string, and "sum", the number {self.a} + {self.b}.'
                )
            case CanaryKind.CUSTOM:
                return self.text

    def right(self, answer: str) -> bool:
        match self.kind:
            case CanaryKind.ECHO:
                return self._echoes(answer)
            case CanaryKind.ARITHMETIC:
                return self._sums_up(answer)
            case CanaryKind.JSON:
                return self._tabulates(answer)
            case CanaryKind.CUSTOM:
                return self.expect.met(answer)

    def cut_short(self, answer: str) -> bool:
        """Whether the answer is the beginning of what was asked for, and not all of it.

        An echo only: half a number or half a sentence may be all that a model had to say.
        """
        given, wanted = _plain(answer), _plain(self.nonce)
        half = bool(given) and given != wanted and wanted.startswith(given)
        return half and self.kind is CanaryKind.ECHO

    def _echoes(self, answer: str) -> bool:
        """The nonce is said, as a word of its own, and little else."""
        spans = _spans(self.nonce, answer)
        doubted = any(_DOUBTED.match(answer, end) for _, end in spans)
        return bool(spans) and not doubted and _hands_over(_without(answer, spans))

    def _sums_up(self, answer: str) -> bool:
        """The sum is said, no other number than the two that were asked about, and little else."""
        rest = _without(answer, _spans(self.nonce, answer))
        numbers = {_value(number) for number in _NUMBER.findall(rest)}
        right = self.a + self.b in numbers and numbers <= {self.a, self.b, self.a + self.b}
        return right and _hands_over(_NUMBER.sub(" ", rest), SUMS)

    def _tabulates(self, answer: str) -> bool:
        """A table with the word and the sum, and little else around it."""
        table, span = _table_in(answer)
        word = table.get("word") if isinstance(table, Mapping) else None
        right = isinstance(word, str) and _plain(word) == _plain(self.nonce)
        if not right or not _same(_at(table, "sum"), self.a + self.b):
            return False
        rest = _without(answer, [span])
        rest = _without(rest, _spans(self.nonce, rest))
        return _hands_over(_NUMBER.sub(" ", rest), TABLES)


def advice(kind: CanaryKind) -> str:
    """What to do about answers that are always wrong."""
    if kind is CanaryKind.CUSTOM:
        return "see whether canary.expect fits what the model answers to canary.prompt"
    return f'a model that fails at "{kind}" wants a question it can answer: canary.kind = "custom"'


@dataclass(frozen=True, slots=True)
class Asking:
    """How a provider's canaries are made, from the configuration."""

    kind: CanaryKind = CanaryKind.ECHO
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


def _spans(nonce: str, answer: str) -> list[tuple[int, int]]:
    """Where the nonce stands by itself, whatever separates its parts ("ab12-cd34")."""
    words = [(match.start(), match.end(), match[0].lower()) for match in _WORD.finditer(answer)]
    wanted, spans, at = nonce.lower(), [], 0
    while at < len(words):
        last, joined = at, words[at][2]
        while joined != wanted and wanted.startswith(joined) and last + 1 < len(words):
            last += 1
            joined += words[last][2]
        if joined == wanted:
            spans.append((words[at][0], words[last][1]))
            at = last
        at += 1
    return spans


def _without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """What is left of a text."""
    for start, end in sorted(spans, reverse=True):
        text = f"{text[:start]} {text[end:]}"
    return text


def _hands_over(rest: str, more: frozenset[str] = frozenset()) -> bool:
    """Whether what stands around an answer only hands it over."""
    words = _WORD.findall(rest.lower())
    return len(words) <= MOST_WORDS and all(word in HANDS_OVER or word in more for word in words)


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
    return _table_in(answer)[0]


def _table_in(answer: str) -> tuple[Any, tuple[int, int]]:
    """The first JSON object in an answer that may wrap it in words or a code fence, or the list
    that holds it; without any, the first list. With where it stands."""
    first: tuple[Any, tuple[int, int]] = MISSING, (0, 0)
    end = 0
    for start in [start.start() for start in _START.finditer(answer)][:MAX_STARTS]:
        if start < end:
            continue  # inside what was read already
        try:
            value, end = json.JSONDecoder().raw_decode(answer, start)
        except (ValueError, RecursionError):
            continue  # a bracket among words
        if isinstance(value, Mapping) or any(isinstance(one, Mapping) for one in value):
            return value, (start, end)
        first = (value, (start, end)) if first[0] is MISSING else first
    return first


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
