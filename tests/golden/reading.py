"""Reads a stream as a canary does, without a clock."""

from __future__ import annotations

from prober.probing.response import Transcript
from prober.providers import ADAPTERS
from prober.providers.outcomes import OutcomeRow


def read(api: str, *chunks: bytes, rules: tuple[OutcomeRow, ...] = ()) -> Transcript:
    reader, transcript = ADAPTERS[api].reader(rules), Transcript()
    for chunk in chunks:
        for event in reader.feed(chunk):
            transcript.take(event, 0.0)
    for event in reader.close():
        transcript.take(event, 0.0)
    return transcript
