"""Credentials that are no plain key: Amazon's signatures and Google's tokens.

botocore and google-auth are heavy, and extras: they are imported when such a provider is
configured, never before.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

from prober.config import Provider
from prober.providers.base import Request

GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
# The parts that an API needs beyond the daemon's own.
EXTRAS = {
    "bedrock": ("botocore.auth", "botocore.session"),
    "vertex": ("google.auth", "google.auth.transport.requests"),
}


_REGION = re.compile(r"[/.]([a-z]{2}(?:-[a-z]+)+-\d+)\.")


class CredentialsError(Exception):
    """No credentials could be had; the message says what to do."""


class Authorize(Protocol):
    """Gives a request what proves who asks. Raises CredentialsError, or OSError on the way."""

    async def __call__(self, request: Request) -> Request: ...


def missing_extra(provider: Provider) -> str:
    """What to install before this provider can be probed; empty when all is there.

    Imports what is there: that takes a while, and must not happen in the event loop.
    """
    if provider.key is not None:
        return ""  # its own token: nothing to fetch, nothing to sign
    try:
        for module in EXTRAS.get(provider.api, ()):
            import_module(module)
    except ImportError as error:
        lacking = error.name or "more"
        return f'api = "{provider.api}" needs {lacking}: pip install "prober[{provider.api}]"'
    return ""


def authorizer(provider: Provider, learn: Callable[[str], None]) -> Authorize | None:
    """What signs this provider's requests; None where its key is enough.

    `learn` is told each secret that is fetched, so that it can be scrubbed.
    """
    if provider.key is not None:
        return None
    match provider.api:
        case "bedrock":
            return Amazon(provider.region or _region_in(provider.url), learn)
        case "vertex":
            return Google(learn)
        case _:
            return None


def _region_in(url: str) -> str:
    """bedrock-runtime.eu-central-1.amazonaws.com -> eu-central-1; a private endpoint's too."""
    found = _REGION.search(url)
    return found[1] if found else "us-east-1"


@dataclass(frozen=True)
class Amazon:
    """Signature Version 4, with the credentials that Amazon's tools find on this machine."""

    region: str
    learn: Callable[[str], None] = field(compare=False, repr=False)
    _found: list[Any] = field(default_factory=list, compare=False, repr=False)

    async def __call__(self, request: Request) -> Request:
        # Files, or the instance's own service, are asked: never in the event loop.
        return await asyncio.to_thread(self._sign, request)

    def _sign(self, request: Request) -> Request:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session

        try:
            if not self._found:
                self._found.append(Session().get_credentials())
            if self._found[0] is None:
                self._found.clear()
                raise CredentialsError(
                    "no AWS credentials found: set AWS_PROFILE or AWS_ACCESS_KEY_ID and "
                    'AWS_SECRET_ACCESS_KEY, or give key = { env = "AWS_BEARER_TOKEN_BEDROCK" }'
                )
            frozen = self._found[0].get_frozen_credentials()
        except BotoCoreError as error:
            raise CredentialsError(f"AWS credentials: {error}") from error
        for secret in (frozen.secret_key, frozen.token):
            if secret:
                self.learn(secret)
        signed = AWSRequest(request.method, request.url, dict(request.headers), request.body)
        SigV4Auth(frozen, "bedrock", self.region).add_auth(signed)
        headers = {name.lower(): str(value) for name, value in signed.headers.items()}
        return Request(request.method, request.url, headers, request.body)


@dataclass(frozen=True)
class Google:
    """An OAuth token from the application default credentials, fetched anew when it expires."""

    learn: Callable[[str], None] = field(compare=False, repr=False)
    _found: list[Any] = field(default_factory=list, compare=False, repr=False)

    async def __call__(self, request: Request) -> Request:
        token = await asyncio.to_thread(self._token)
        headers = {**request.headers, "authorization": f"Bearer {token}"}
        return Request(request.method, request.url, headers, request.body)

    def _token(self) -> str:
        import google.auth
        from google.auth import exceptions
        from google.auth.transport.requests import Request as Transport

        try:
            if not self._found:
                self._found.append(google.auth.default(scopes=[GOOGLE_SCOPE])[0])
            if not self._found[0].valid:
                self._found[0].refresh(Transport())
        except exceptions.TransportError as error:
            raise ConnectionError(f"Google's token service: {error}") from error
        except exceptions.GoogleAuthError as error:
            raise CredentialsError(
                f"Google credentials: {str(error).splitlines()[0]} "
                "(gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS)"
            ) from error
        token = str(self._found[0].token)
        self.learn(token)
        return token
