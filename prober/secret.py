"""Secrets by reference: read late, never shown."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

# Tokens live for an hour or so.
FETCHED = 64


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
    """Replaces every known secret in a text: the configuration's, and those fetched later."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known = list(secrets)
        self._fetched: deque[str] = deque(maxlen=FETCHED)
        self._secrets = _longest_first(self._known)

    def know(self, secrets: Iterable[str]) -> None:
        """More secrets of the configuration."""
        self._known += secrets
        self._secrets = _longest_first([*self._known, *self._fetched])

    def learn(self, secret: str) -> None:
        """A secret fetched while running (a token); the newest of them are remembered."""
        if secret not in self._fetched:
            self._fetched.append(secret)
            self._secrets = _longest_first([*self._known, *self._fetched])

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _longest_first(secrets: Iterable[str]) -> list[str]:
    """So that a secret that contains another one goes whole."""
    return sorted({s for s in secrets if len(s) >= 6}, key=len, reverse=True)
