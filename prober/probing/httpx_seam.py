"""What we know of httpx and httpcore that they do not promise: in this file alone.

tests/probing/test_httpx_seam.py fails with the name of whatever an upgrade has taken away.
"""

from __future__ import annotations

import httpcore
import httpx
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, StreamReset

# httpcore's message for a kept connection that the server closed before the answer began.
DISCONNECTED = "Server disconnected"


def over(
    transport: httpx.AsyncHTTPTransport, backend: httpcore.AsyncNetworkBackend
) -> httpx.AsyncHTTPTransport:
    """The same transport, its connections opened by `backend`; httpx has no setting for that."""
    transport._pool._network_backend = backend
    return transport


def closed_before_answer(error: httpx.TransportError) -> bool:
    """The connection ended before one byte of an answer: no half answer raises these."""
    if isinstance(error, httpx.ReadError | httpx.WriteError | httpx.CloseError):
        return True
    return str(error).startswith(DISCONNECTED) or isinstance(h2_event(error), ConnectionTerminated)


def refused_untouched(error: httpx.TransportError) -> bool:
    """The server says that it has not touched the request."""
    event = h2_event(error)
    return isinstance(event, StreamReset) and event.error_code is ErrorCodes.REFUSED_STREAM


def h2_event(error: BaseException) -> object:
    """What h2 saw, or None: httpcore raises with it, and httpx from that."""
    cause = error.__cause__
    return cause.args[0] if isinstance(cause, httpcore.RemoteProtocolError) and cause.args else None
