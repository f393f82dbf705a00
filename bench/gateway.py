"""What a gateway in the request path costs a request: through a LiteLLM proxy, and straight.

Against: the same small request straight to the emulator, over a kept connection, the two in turn.
The flag costs a memory read instead (`flag_read`); this row is for orientation and has no target.

The proxy is the `litellm` on PATH, or the one that LITELLM names:
`python3 -m venv x && x/bin/pip install "litellm[proxy]"`, then `LITELLM=x/bin/litellm`.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from statistics import median

import httpx

from bench.row import Row, SkippedError
from bench.servers import emulator, litellm

WARM = 20
REQUESTS = 300
MODEL = "gpt-test"
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "Reply with kiwi."}]}


def measure() -> list[Row]:
    with (
        emulator(ttft_s=0, tokens_pause_s=0) as straight,
        litellm(_binary(), straight, MODEL) as (proxy, key),
        httpx.Client(trust_env=False, timeout=20) as client,
    ):

        def ask(url: str) -> float:
            began_s = time.perf_counter()
            said = client.post(
                f"{url}/v1/chat/completions", json=BODY, headers={"authorization": f"Bearer {key}"}
            )
            said.raise_for_status()
            return (time.perf_counter() - began_s) * 1e3

        for _ in range(WARM):
            ask(straight)
            ask(proxy)
        pairs = [(ask(proxy), ask(straight)) for _ in range(REQUESTS)]
    through_ms, straight_ms = (median(times) for times in zip(*pairs, strict=True))
    return [Row("request through LiteLLM", "the same one straight", "ms", through_ms, straight_ms)]


def _binary() -> Path:
    """Raises SkippedError where there is none."""
    named = os.environ.get("LITELLM", "litellm")
    found = shutil.which(named)
    if found is None:
        raise SkippedError(f"no {named}; pip install litellm[proxy] beside, and name it in LITELLM")
    return Path(found)
