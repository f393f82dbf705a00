"""Credentials that are no plain key: Amazon's signatures and Google's tokens.

botocore and google-auth are heavy, and extras: they are imported when such a provider is
configured, never before.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

from prober.probing.aside import Aside
from prober.probing.proxy import proxy_for
from prober.probing.transport_errors import causes, words
from prober.providers.events import HttpRequest
from prober.providers.outcomes import by_status
from prober.sample import Outcome

if TYPE_CHECKING:
    from prober.config.schema import Provider

T = TypeVar("T")

GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
# One question to Google's token service, and all of a fetch; shorter than a canary.
TOKEN_S = 4.0
FETCH_S = 5.0
# The parts that an API needs beyond the daemon's own.
EXTRAS = {
    "bedrock": ("botocore.auth", "botocore.session"),
    "vertex": ("google.auth", "google.auth.transport.requests"),
}


_REGION = re.compile(r"[/.]([a-z]{2}(?:-[a-z]+)+-\d+)\.")


class CredentialsError(Exception):
    """No credentials could be had; the message says what to do.

    Where they are missing on this machine it is our canary that is wrong, not the account.
    """

    def __init__(self, message: str, outcome: Outcome = Outcome.BAD_REQUEST) -> None:
        super().__init__(message)
        self.outcome = outcome


class Authorize(Protocol):
    """Gives a request what proves who asks. Raises CredentialsError."""

    async def __call__(self, request: HttpRequest) -> HttpRequest: ...


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
        return f'api = "{provider.api}" needs {lacking}: pip install "prober-llm[{provider.api}]"'
    return ""


def authorizer(
    provider: Provider, learn: Callable[[str], None], ca_file: str = ""
) -> Authorize | None:
    """What signs this provider's requests; None where its key is enough.

    `learn` is told each secret that is fetched, so that it can be scrubbed. Token services may
    have a certificate that only `ca_file` vouches for.
    """
    if provider.key is not None:
        return None
    match provider.api:
        case "bedrock":
            return Amazon(provider.region or _region_in(provider.url), learn, ca_file=ca_file)
        case "vertex":
            return Google(learn, ca_file=ca_file)
        case _:
            return None


def _region_in(url: str) -> str:
    """bedrock-runtime.eu-central-1.amazonaws.com -> eu-central-1; a private endpoint's too."""
    match = _REGION.search(url)
    return match[1] if match else "us-east-1"


async def _fetched(fetch: Aside[T], whose: str) -> T:
    """Bounded here too: what a library promises of its own patience is not believed."""
    try:
        async with asyncio.timeout(FETCH_S):
            return await fetch()
    except TimeoutError:
        raise CredentialsError(f"{whose}: no answer in {FETCH_S:g} s", Outcome.CONNECT) from None


# -- Amazon --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Amazon:
    """Signature Version 4, with the credentials that Amazon's tools find on this machine."""

    region: str
    learn: Callable[[str], None] = field(compare=False, repr=False)
    _found: list[Any] = field(default_factory=list, compare=False, repr=False)
    ca_file: str = ""

    async def __call__(self, request: HttpRequest) -> HttpRequest:
        # Files, or the instance's own service, are asked: never in the event loop.
        return self._sign(request, await _fetched(self._fetch, "AWS credentials"))

    @cached_property
    def _fetch(self) -> Aside[Any]:
        return Aside(self._frozen, "aws-credentials")

    def _frozen(self) -> Any:
        """The credentials as they stand now. Blocks. Raises CredentialsError."""
        try:
            if not self._found:
                self._found.append(self._session().get_credentials())
            if self._found[0] is None:
                self._found.clear()
                raise CredentialsError(
                    "no AWS credentials found: set AWS_PROFILE or AWS_ACCESS_KEY_ID and "
                    'AWS_SECRET_ACCESS_KEY, or give key = { env = "AWS_BEARER_TOKEN_BEDROCK" }'
                )
            frozen = self._found[0].get_frozen_credentials()
        except CredentialsError:
            raise
        except Exception as error:
            raise _amazon(error) from error
        for secret in (frozen.secret_key, frozen.token):
            if secret:
                self.learn(secret)
        return frozen

    def _session(self) -> Any:
        from botocore.config import Config
        from botocore.session import Session

        session = Session()
        # Amazon's hosts are gone to by one way.
        service = (
            os.environ.get("AWS_ENDPOINT_URL_STS") or f"https://sts.{self.region}.amazonaws.com"
        )
        proxy = proxy_for(service, os.environ)
        proxies = {urlsplit(service).scheme: proxy} if proxy else {}
        session.set_default_client_config(Config(proxies=proxies))
        if self.ca_file:
            session.set_config_variable("ca_bundle", self._bundle)
        return session

    @cached_property
    def _bundle(self) -> str:
        """A file with our certificates and the usual ones: botocore trusts one file only."""
        import certifi

        usual = Path(certifi.where()).read_text("ascii")
        own = Path(self.ca_file).expanduser().read_text("utf-8")
        return _file_of(f"{usual}\n{own}")

    def _sign(self, request: HttpRequest, frozen: Any) -> HttpRequest:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        signed = AWSRequest(request.method, request.url, dict(request.headers), request.body)
        SigV4Auth(frozen, "bedrock", self.region).add_auth(signed)
        headers = {name.lower(): str(value) for name, value in signed.headers.items()}
        return HttpRequest(request.method, request.url, headers, request.body)


@cache
def _file_of(text: str) -> str:
    """A file that holds `text` until this process ends."""
    file, name = mkstemp(prefix="prober-ca-", suffix=".pem")
    with os.fdopen(file, "w", encoding="utf-8") as opened:
        opened.write(text)
    atexit.register(Path(name).unlink, missing_ok=True)
    return name


def _amazon(error: Exception) -> CredentialsError:
    from botocore import exceptions as aws

    message = _first_line(error) if isinstance(error, aws.BotoCoreError | aws.ClientError) else ""
    why = f"AWS credentials: {message or f'cannot be used ({type(error).__name__})'}"
    if isinstance(error, aws.ClientError):
        answer = error.response.get("ResponseMetadata", {})
        return CredentialsError(why, _refused(answer.get("HTTPStatusCode") or 0))
    if isinstance(error, aws.HTTPClientError | aws.ConnectionError):
        return CredentialsError(why, Outcome.CONNECT)
    if isinstance(error, aws.SSOError | aws.LoginError | aws.TokenRetrievalError):
        return CredentialsError(why, Outcome.AUTH)
    return CredentialsError(why)


# -- Google --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Google:
    """An OAuth token from the application default credentials, fetched anew when it expires."""

    learn: Callable[[str], None] = field(compare=False, repr=False)
    _found: list[Any] = field(default_factory=list, compare=False, repr=False)
    ca_file: str = ""

    async def __call__(self, request: HttpRequest) -> HttpRequest:
        if self._found and self._found[0].valid:
            token = str(self._found[0].token)
        else:
            token = await _fetched(self._fetch, "Google's token service")
        headers = {**request.headers, "authorization": f"Bearer {token}"}
        return HttpRequest(request.method, request.url, headers, request.body)

    @cached_property
    def _fetch(self) -> Aside[str]:
        return Aside(self._token, "google-token")

    def _token(self) -> str:
        """Blocks. Raises CredentialsError."""
        import google.auth

        transport = _Transport(self.ca_file)
        try:
            if not self._found:
                self._found.append(google.auth.default(scopes=[GOOGLE_SCOPE])[0])
            if not self._found[0].valid:
                self._found[0].refresh(transport)
        except Exception as error:
            raise _google(error, transport) from error
        token = str(self._found[0].token)
        self.learn(token)
        return token


class _Transport:
    """google-auth's own with less patience; it remembers whom it asked, and what came back."""

    def __init__(self, ca_file: str) -> None:
        from google.auth.transport.requests import Request as Transport

        from prober.probing.requests_session import Session

        self._inner = Transport(Session(ca_file))
        self.host = ""
        self.status: int | None = None

    def __call__(self, url: str, *given: Any, **more: Any) -> Any:
        self.host, self.status = urlsplit(url).hostname or "", None
        more["timeout"] = min(more.get("timeout") or TOKEN_S, TOKEN_S)
        response = self._inner(url, *given, **more)
        self.status = response.status
        return response


def _google(error: Exception, transport: _Transport) -> CredentialsError:
    """Whose fault it is that there is no token: the way's, the service's, the account's, ours."""
    from google.auth import exceptions

    service = f"Google's token service{f' ({transport.host})' if transport.host else ''}"
    status, text = transport.status, _first_line(error)
    out_of_reach = any(isinstance(cause, exceptions.TransportError) for cause in causes(error))
    if status is None and out_of_reach:
        why = words(error)
        # The library's own words for it name its parts.
        why = f"no answer in {TOKEN_S:g} s" if "timed out" in why else why
        return CredentialsError(f"{service}: {why}", Outcome.CONNECT)
    refused = isinstance(error, exceptions.RefreshError) and (
        status is None or any(isinstance(part, dict) and "error" in part for part in error.args)
    )
    if status is not None and (status >= 500 or status == 429 or not refused):
        # A page in place of a token is no word of the account's.
        outcome = _refused(status) if status >= 429 else Outcome.SERVER_ERROR
        return CredentialsError(f"{service}: HTTP {status}, and no token", outcome)
    help = "(gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS)"
    if refused:
        return CredentialsError(f"Google credentials: {text} {help}", Outcome.AUTH)
    if not isinstance(error, exceptions.GoogleAuthError):
        text = f"cannot be used ({type(error).__name__})"  # its words may quote the key
    return CredentialsError(f"no Google credentials on this machine: {text} {help}")


def _refused(status: int) -> Outcome:
    """A service that fails, or is busy, says nothing of the account; any other refusal does."""
    return by_status(status) if status >= 500 or status == 429 else Outcome.AUTH


def _first_line(error: Exception) -> str:
    # google-auth adds the whole answer as a second argument.
    message = error.args[0] if error.args else ""
    return next(iter(str(message).splitlines()), "")
