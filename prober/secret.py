"""Secrets by reference: read late, never shown."""

from __future__ import annotations

import html
import os
import re
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

# Tokens live for an hour or so.
FETCHED = 64
# What is shorter would take ordinary words out of a text.
SHORTEST = 6
# Of a long key so much of its beginning is enough.
HEAD, LONG = 8, 16

_SECRET_NAME = re.compile(
    r"(^|[-_])(api-?key|key|token|jwt|auth|authorization|cookie|signature|credentials?)$"
    r"|secret|passw",
    re.ASCII,
)
_SECRET_VALUE = re.compile(r"(?i:bearer|basic)\s+\S{8,}\Z|sk-|.*api[-_]?key\W{0,4}[:=]", re.DOTALL)
# Words of a request's body that end like a credential's name.
_HARMLESS = frozenset({"prompt_cache_key", "cache_key", "key"})
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def names_secret(name: str) -> bool:
    """Whether a header or a field of this name holds a credential, by all custom."""
    return _SECRET_NAME.search(name.lower()) is not None


def looks_secret(name: str, value: object) -> bool:
    """Whether a value would give away a credential if it were shown, by its name or its looks."""
    shown = isinstance(value, str) and _SECRET_VALUE.match(value.strip())
    return names_secret(name) or bool(shown)


def _dense(name: str) -> bool:
    """Long, with small letters and digits: nobody names a variable so, but keys look like that."""
    return len(name) >= 20 and name != name.upper() and any(c.isdigit() for c in name)


def credential_in(value: Any) -> str:
    """The path, as "a.b", of the first text in a table that gives a credential away; or ""."""
    if isinstance(value, list):
        return next((found for part in value if (found := credential_in(part))), "")
    for name, part in value.items() if isinstance(value, dict) else ():
        if found := credential_in(part):
            return f"{name}.{found}"
        if isinstance(part, str) and part and name not in _HARMLESS and looks_secret(name, part):
            return str(name)
    return ""


class MissingSecretError(LookupError):
    """The place a secret should stand in is empty. The message names that place."""


class SecretRef(BaseModel):
    """Where a secret stands: `{ env = … }`, `{ file = … }` or `{ credential = … }` (systemd)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    env: str | None = None
    file: str | None = None
    credential: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> SecretRef:
        if sum(place is not None for place in (self.env, self.file, self.credential)) != 1:
            raise ValueError("give exactly one of env, file or credential")
        if self.env is not None and (not _VARIABLE.match(self.env) or _dense(self.env)):
            raise ValueError("env takes the name of an environment variable, not its value")
        return self

    def __str__(self) -> str:
        if self.env is not None:
            return f"environment variable {self.env}"
        if self.file is not None:
            return f"file {self.file}"
        return f"systemd credential {self.credential}"

    def read(self) -> str:
        """The secret itself. Raises MissingSecretError, naming the place."""
        if self.env is not None:
            value = os.environ.get(self.env, "").strip()
        else:
            value = self._path().strip()
        if not value:
            raise MissingSecretError(f"{self} is empty or not there")
        return value

    def _path(self) -> str:
        if self.file is not None:
            path = Path(self.file).expanduser()
        else:
            # systemd hands credentials over in a directory of the service's own.
            folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
            if not folder or not self.credential:
                return ""
            path = Path(folder, self.credential)
        try:
            return path.read_text("utf-8")
        except OSError as error:
            raise MissingSecretError(f"{self} cannot be read: {error.strerror}") from error
        except ValueError:
            # Without its cause, which holds what was read.
            raise MissingSecretError(f"{self} is no file of UTF-8 text") from None


def _only_by_reference(value: Any) -> Any:
    if isinstance(value, str):
        raise ValueError('secrets are given by reference: { env = "NAME" } or { file = "path" }')
    return value


Secret = Annotated[SecretRef, BeforeValidator(_only_by_reference)]


def _public_or_reference(value: Any) -> Any:
    if isinstance(value, str) and may_hold_password(value):
        raise ValueError('it may hold a password, so give it by reference: { env = "NAME" }')
    return value


def may_hold_password(url: str) -> bool:
    """Whether somebody could log in with this URL. A password may itself hold a slash."""
    place = url.partition("://")[2]
    return ("@" in place and not place.startswith("/")) or "password=" in place.lower()


# A URL may stand in the file as long as nobody can log in with it.
PublicOrSecret = Annotated[str | SecretRef, BeforeValidator(_public_or_reference)]


def reveal(value: str | SecretRef) -> str:
    """The text behind a URL setting. Raises MissingSecretError."""
    return value if isinstance(value, str) else value.read()


class Scrubber:
    """Replaces every known secret in a text: the configuration's, and those fetched later.

    Each goes however it is written (in JSON, in a URL, in HTML), and a long one already when its
    beginning stands there: somebody may have cut the text that held it.
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
        ways = "|".join("".join(map(_written, part)) for part in ordered)
        self._whole = re.compile(ways) if ways else None
        self._long = [part for part in ordered if len(part) >= LONG and "://" not in part]

    def __call__(self, text: str) -> str:
        if self._whole is not None:
            text = self._whole.sub("***", text)
        return _without_beginnings(text, self._long) if self._long else text


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


def _without_beginnings(text: str, secrets: Iterable[str]) -> str:
    """Several keys may begin alike: as much goes as any of them has in common with the text."""
    heads = {secret[:HEAD] for secret in secrets}
    while found := [at for head in heads if (at := text.find(head)) >= 0]:
        at = min(found)
        text = f"{text[:at]}***{text[at + max(_alike(secret, text, at) for secret in secrets) :]}"
    return text


def _alike(secret: str, text: str, at: int) -> int:
    """How many characters of the secret stand in the text from there on."""
    pairs = zip(secret, text[at : at + len(secret)], strict=False)
    return next((count for count, (one, other) in enumerate(pairs) if one != other), len(secret))
