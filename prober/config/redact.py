"""Takes every known secret out of a text, in whatever way it is written there."""

from __future__ import annotations

import html
import re
from base64 import b64encode
from collections import deque
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

# Tokens live for an hour or so.
FETCHED = 64
# What is shorter would take ordinary words out of a text.
SHORTEST = 6
# Of a long key so much of its beginning is enough.
HEAD, LONG = 8, 16


class Scrubber:
    """Replaces every known secret in a text: the configuration's, and those fetched later.

    Each goes however it is written (in JSON with any of its characters escaped, in a URL, in HTML,
    in base64), and a long one already when its beginning stands there as it is: somebody may have
    cut the text that held it. Not covered: a secret in other letters (upper case, reversed, hex,
    a hash, compressed), its middle or its end alone, and what is shorter than six characters.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known = list(secrets)
        self._fetched: deque[str] = deque(maxlen=FETCHED)
        self._sort()

    def know(self, secrets: Iterable[str]) -> None:
        """More secrets of the configuration."""
        self._known += secrets
        self._sort()

    def learn(self, secret: str) -> None:
        """A secret fetched while running (a token); the newest of them are remembered."""
        if secret not in self._fetched:
            self._fetched.append(secret)
            self._sort()

    def _sort(self) -> None:
        """Longest first, so that a secret that contains another one goes whole."""
        plain = {part for s in [*self._known, *self._fetched] for part in _parts(s)}
        ordered = sorted(plain, key=len, reverse=True)
        self._whole = _any("".join(map(_written, part)) for part in ordered)
        self._base64 = _any(way for part in ordered for way in _in_base64(part))
        self._escaped = _any("".join(map(_escaped, part)) for part in ordered)
        self._long = [part for part in ordered if len(part) >= LONG and "://" not in part]

    def __call__(self, text: str) -> str:
        if self._whole is None or self._base64 is None or self._escaped is None:
            return text
        text = self._base64.sub("***", self._whole.sub("***", text))
        # A thousand times slower than the others, and rarely needed.
        text = self._escaped.sub("***", text) if "\\u" in text else text
        return _without_beginnings(text, self._long)


def _any(ways: Iterable[str]) -> re.Pattern[str] | None:
    joined = "|".join(ways)
    return re.compile(joined) if joined else None


def _parts(secret: str) -> set[str]:
    """What is secret in it: all of it, and of "Bearer …" the credential alone."""
    words = secret.split()
    parts = {secret, unquote(secret), words[-1] if words else ""}
    return {part for part in parts if len(part) >= SHORTEST}


def _written(character: str) -> str:
    """A pattern of the ways in which JSON, URLs and HTML write a character."""
    plain = re.escape(character)
    if character.isalnum() or character in "-._~" or not character.isascii():
        return plain
    code = f"{ord(character):02x}"
    entity = re.escape(html.escape(character))
    return (
        rf"(?:{entity}|\\?{plain}|(?i:%(?:25)?{code}|\\u00{code}|&#x{code};)|&#{ord(character)};)"
    )


def _escaped(character: str) -> str:
    """The same where any character may be \\u0041, as some write JSON, or JSON inside of JSON."""
    return rf"(?:{_written(character)}|\\+u(?i:{ord(character):04x}))"


def _in_base64(secret: str) -> Iterator[str]:
    """Patterns of the letters that a text has in base64 when it holds the secret."""
    plain = secret.encode()
    for before, first in enumerate((0, 2, 3)):
        # Three bytes are four letters; only those that hold nothing of what is around it are sure.
        letters = b64encode(bytes(before) + plain).decode()
        sure = letters[first : (before + len(plain)) * 8 // 6]
        yield re.escape(sure).replace(r"\+", "[+-]").replace("/", r"(?:\\?/|_)")


def _without_beginnings(text: str, secrets: Iterable[str]) -> str:
    """Several keys may begin alike: as much goes as any of them has in common with the text."""
    heads = {secret[:HEAD] for secret in secrets}
    while places := [at for head in heads if (at := text.find(head)) >= 0]:
        at = min(places)
        text = f"{text[:at]}***{text[at + max(_alike(secret, text, at) for secret in secrets) :]}"
    return text


def _alike(secret: str, text: str, at: int) -> int:
    """How many characters of the secret stand in the text from there on."""
    pairs = zip(secret, text[at : at + len(secret)], strict=False)
    return next((count for count, (one, other) in enumerate(pairs) if one != other), len(secret))
