"""What a gateway in front of an API says in its headers. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prober.emulator.faults import Faults


def gateway_headers(faults: Faults) -> dict[str, str]:
    """Portkey's and Helicone's, all of them, if one has something to tell; else none.

    Source: portkey.ai/docs/api-reference/response-schema, docs.helicone.ai/features/advanced-usage.
    """
    if not (faults.cached or faults.fell_back or faults.retried):
        return {}
    status = "HIT" if faults.cached else "MISS"
    return {
        "x-portkey-cache-status": status,
        "x-portkey-last-used-option-index": f"config.targets[{int(faults.fell_back)}]",
        "x-portkey-retry-attempt-count": str(faults.retried + int(faults.fell_back)),
        "helicone-cache": status,
    }
