"""Secrets by reference: read late, never shown."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

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
        return next((inner for part in value if (inner := credential_in(part))), "")
    for name, part in value.items() if isinstance(value, dict) else ():
        if inner := credential_in(part):
            return f"{name}.{inner}"
        if isinstance(part, str) and part and name not in _HARMLESS and looks_secret(name, part):
            return str(name)
    return ""


class MissingSecretError(LookupError):
    """The place a secret should stand in is empty. The message names that place.

    Attributes:
        advice: how to give it, where that is known; a clause that follows the message.
    """

    advice = ""


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


@dataclass(frozen=True)
class Given:
    """What a process was given to work with: its own environment and what others told it.

    Attributes:
        credentials: systemd's, beside those of $CREDENTIALS_DIRECTORY.
        advice: for what is missing, how to give it.
    """

    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    advice: Callable[[SecretRef], str] = lambda ref: ""

    def read(self, ref: SecretRef) -> str:
        """The secret itself. Raises MissingSecretError."""
        content = self.environment.get(ref.env or "") or self.credentials.get(ref.credential or "")
        if content and content.strip():
            return content.strip()
        try:
            return ref.read()
        except MissingSecretError as error:
            error.advice = self.advice(ref)
            raise


def references(value: object) -> Iterator[SecretRef]:
    """Every secret that a configuration, or a part of one, points at."""
    if isinstance(value, SecretRef):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from references(getattr(value, name))
    elif isinstance(value, dict):
        yield from references(tuple(value.values()))
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from references(part)


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


def shown_url(url: str) -> str:
    """Where a URL of somebody else's leads, without what it may hold to log in with there."""
    try:
        parts = urlsplit(url)
        place = f"{parts.scheme}://{parts.hostname}" if parts.scheme and parts.hostname else ""
        place += f":{parts.port}" if place and parts.port else ""
    except ValueError:
        return "…"
    return f"{place}/…"


# A URL may stand in the file as long as nobody can log in with it.
PublicOrSecret = Annotated[str | SecretRef, BeforeValidator(_public_or_reference)]


def reveal(value: str | SecretRef, given: Given | None = None) -> str:
    """The text behind a URL setting. Raises MissingSecretError."""
    return value if isinstance(value, str) else (given or Given()).read(value)
