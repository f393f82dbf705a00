"""What a daemon imports only when it needs it; the fork server does so once for all of them."""

from __future__ import annotations

import gc

import apprise
import psycopg
import uvicorn.protocols.http.h11_impl
from anyio._backends import _asyncio

LATE = (psycopg, uvicorn.protocols.http.h11_impl, _asyncio)

# The first address makes it look through all the services it knows.
apprise.Apprise().add("json://127.0.0.1")

# What the daemons share is neither looked through nor copied by each of them.
gc.collect()
gc.freeze()
