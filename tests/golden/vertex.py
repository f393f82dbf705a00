"""Vertex AI: Gemini's stream and Anthropic's, at one door."""

from __future__ import annotations

from prober.sample import Outcome, Tokens
from tests.golden import anthropic, gemini
from tests.golden.frames import Golden, Refused

STREAMS = {
    **gemini.STREAMS,
    **{f"claude {case}": stream for case, stream in anthropic.STREAMS.items()},
}
GOLDEN = Golden(
    STREAMS,
    Refused(
        403,
        gemini.error(
            403,
            "PERMISSION_DENIED",
            "This API method requires billing to be enabled.",
            {"@type": gemini.TYPE + "ErrorInfo", "reason": "BILLING_DISABLED"},
        ),
        Outcome.QUOTA_EXHAUSTED,
        "HTTP 403 PERMISSION_DENIED This API method requires billing to be enabled.",
    ),
    Tokens(input=25, output=6, reasoning=2, cached=3),
    marker=b"data: ",
)
