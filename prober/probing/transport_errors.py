"""Foreign errors to outcomes, in one table."""

from __future__ import annotations

import socket
import ssl

import httpx
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, StreamReset
from h2.exceptions import StreamClosedError

from prober.providers.events import UnreadableError
from prober.sample import Outcome

UNSENDABLE = "not sent: the key, a header or the URL holds what HTTP cannot carry"

# What may be raised while a canary is under way, its deadline apart.
TROUBLE = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    UnreadableError,
    OSError,
    UnicodeError,
)

# The first that fits, among an error and its causes.
_PATH_CAUSES: tuple[tuple[type[BaseException], Outcome], ...] = (
    (socket.gaierror, Outcome.DNS),
    (ssl.SSLError, Outcome.TLS),
)
_ERRORS: tuple[tuple[type[Exception], Outcome], ...] = (
    (httpx.ProxyError, Outcome.CONNECT),
    (httpx.ConnectError, Outcome.CONNECT),
    (httpx.ConnectTimeout, Outcome.CONNECT),
    (httpx.NetworkError, Outcome.RESET),
    (httpx.DecodingError, Outcome.STREAM_ERROR),
    (httpx.RemoteProtocolError, Outcome.RESET),
    (httpx.UnsupportedProtocol, Outcome.BAD_REQUEST),
    (httpx.InvalidURL, Outcome.BAD_REQUEST),
    (OSError, Outcome.RESET),
)


def translate(error: Exception, *, answered: bool) -> tuple[Outcome, str]:
    """The outcome and what was said; `answered`: the headers of an answer had come already."""
    if isinstance(error, UnreadableError):
        return Outcome.STREAM_ERROR, str(error)
    chain = causes(error)
    message = words(error)
    if any(isinstance(cause, StreamClosedError) for cause in chain):
        return Outcome.RESET, "the server ended the request before it was sent"
    if isinstance(error, httpx.LocalProtocolError | UnicodeError):
        # Not in its own words: they quote the header, and with it the key.
        return Outcome.BAD_REQUEST, UNSENDABLE
    for kind, outcome in _PATH_CAUSES:
        if any(isinstance(cause, kind) for cause in chain):
            return outcome, f"{message}; is it http://?" if _no_tls(chain) else message
    if ended := _ended(chain):
        message = ended
    elif isinstance(error, httpx.RemoteProtocolError) and not _hung_up(message):
        return Outcome.STREAM_ERROR, f"answered, but not in HTTP: {message}"
    outcome = next((o for kind, o in _ERRORS if isinstance(error, kind)), Outcome.RESET)
    # Once bytes have come, a broken connection is a broken answer.
    return (Outcome.STREAM_TRUNCATED if answered and outcome is Outcome.RESET else outcome), message


def words(error: Exception) -> str:
    """The most telling message of an error and its causes: the system's own, if there is one."""
    system = [c.strerror for c in causes(error) if isinstance(c, OSError) and c.strerror]
    message = system[-1] if system and not isinstance(error, httpx.ProxyError) else str(error)
    return " ".join(message.split())[:300] or type(error).__name__


def causes(error: BaseException) -> list[BaseException]:
    """The error, and what it came from."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    return chain


def _no_tls(chain: list[BaseException]) -> bool:
    """What came back was no TLS at all."""
    reasons = {getattr(cause, "reason", None) for cause in chain}
    return bool(reasons & {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"})


def _ended(chain: list[BaseException]) -> str:
    """What HTTP/2 says of an end that is not by itself; empty for any other error."""
    for event in (cause.args[0] for cause in chain if cause.args):
        if isinstance(event, StreamReset | ConnectionTerminated):
            code = event.error_code
            named = code.name if isinstance(code, ErrorCodes) else f"error {code}"
            if code is ErrorCodes.REFUSED_STREAM:
                return f"the server refused the request (HTTP/2 {named})"
            what = "answer" if isinstance(event, StreamReset) else "connection"
            return f"the server ended the {what} (HTTP/2 {named})"
    return ""


def _hung_up(message: str) -> bool:
    return any(word in message.lower() for word in ("disconnected", "closed", "terminated", "eof"))
