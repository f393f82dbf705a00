"""Anthropic's official SDK takes the emulator for the real thing, Claude on Vertex AI included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from prober.emulator import Emulator
from tests.emulator.emulator_sdks import PROMPT, Contract, Said, fails
from tests.support.late import late

if TYPE_CHECKING:
    import anthropic
else:
    anthropic = late("anthropic")


def ask(client: Any, stream: bool) -> Said:
    said = Said()
    messages: Any = [{"role": "user", "content": PROMPT}]
    answer = client.messages.create(model="m", max_tokens=16, messages=messages, stream=stream)
    if not stream:
        for block in answer.content:
            said.say("thought", getattr(block, "thinking", None))
            said.say("text", getattr(block, "text", None))
        said.stop = answer.stop_reason
        said.refusal = answer.stop_details.explanation if answer.stop_details else ""
        assert answer.usage.output_tokens > 0
        return said
    for event in answer:
        if event.type == "content_block_delta":
            said.say("thought", getattr(event.delta, "thinking", None))
            said.say("text", getattr(event.delta, "text", None))
        if event.type == "message_delta":
            said.stop = event.delta.stop_reason
            details = event.delta.stop_details
            said.refusal = details.explanation if details else ""
            assert event.usage.output_tokens > 0
    return said


class TestAnthropic(Contract):
    api = "anthropic"
    stops = ("end_turn", "max_tokens", "refusal")
    failures = (
        fails("anthropic:OverloadedError", 529, error_share=1),
        fails("anthropic:ServiceUnavailableError", 503, error_share=1, status=503),
        fails("anthropic:InternalServerError", 500, error_share=1, status=500),
        fails("anthropic:RateLimitError", 429, error_share=1, status=429),
        fails("anthropic:BadRequestError", 400, error_share=1, status=400),
        fails("anthropic:AuthenticationError", 401, auth_share=1),
        fails("anthropic:NotFoundError", 404, model_not_found_share=1),
        fails("anthropic:EnforcedSpendLimitReachedError", 429, quota_share=1),
    )
    # The HTTP status of the stream was 200, and so the error's own is not known.
    in_stream = (
        fails("anthropic:APIStatusError", None, "overloaded_error", in_stream_error_share=1),
    )

    ask = staticmethod(ask)

    @classmethod
    def opened(cls, url: str) -> anthropic.Anthropic:
        plain = httpx2.Client(trust_env=False, verify=False)
        return anthropic.Anthropic(api_key="k", base_url=url, max_retries=0, http_client=plain)

    def test_the_sdk_s_own_stream_assembles_the_message(
        self, emulator: Emulator, client: anthropic.Anthropic
    ) -> None:
        emulator.set_faults(reasoning_pieces=2)
        said: list[Any] = [{"role": "user", "content": PROMPT}]
        with client.messages.stream(model="m", max_tokens=16, messages=said) as events:
            final = events.get_final_message()
        assert [block.type for block in final.content] == ["thinking", "text"]
        assert final.usage.output_tokens_details is not None
        assert 0 < final.usage.output_tokens_details.thinking_tokens < final.usage.output_tokens

    def test_an_error_tells_its_request_id_and_type(
        self, emulator: Emulator, client: anthropic.Anthropic
    ) -> None:
        emulator.set_faults(error_share=1)
        with pytest.raises(anthropic.OverloadedError) as overloaded:
            ask(client, stream=True)
        assert overloaded.value.type == "overloaded_error"
        assert (overloaded.value.request_id or "").startswith("req_")

    def test_a_spent_quota_differs_from_a_rate_limit(
        self, emulator: Emulator, client: anthropic.Anthropic
    ) -> None:
        emulator.set_faults(quota_share=1)
        with pytest.raises(anthropic.RateLimitError) as spent:
            ask(client, stream=True)
        assert spent.value.error_code == "enforced_spend_limit_reached"
        assert "retry-after" not in spent.value.response.headers

    def test_the_catalogue_tells_when_a_model_retires(
        self, emulator: Emulator, client: anthropic.Anthropic
    ) -> None:
        emulator.set_faults(self.api, "old", retires="2027-01-31")
        emulator.set_faults(self.api, "gone", model_not_found_share=1)
        listed = {model.id: model for model in client.models.list()}
        old = client.models.retrieve("old")
        assert old == listed["old"]
        assert (old.lifecycle, str(old.retires_at)[:10]) == ("deprecated", "2027-01-31")
        assert client.models.retrieve("new").lifecycle == "active"
        assert "gone" not in listed
        with pytest.raises(anthropic.NotFoundError):
            client.models.retrieve("gone")


class TestClaudeOnVertex(Contract):
    api = "vertex"
    stops = ("end_turn", "max_tokens", "refusal")
    failures = (
        fails("anthropic:OverloadedError", 529, error_share=1),
        fails("anthropic:InternalServerError", 500, error_share=1, status=500),
        fails("anthropic:RateLimitError", 429, "Resource exhausted", error_share=1, status=429),
        fails("anthropic:BadRequestError", 400, error_share=1, status=400),
        fails("anthropic:AuthenticationError", 401, "OAuth 2", auth_share=1),
        fails("anthropic:NotFoundError", 404, "Publisher Model", model_not_found_share=1),
        fails("anthropic:PermissionDeniedError", 403, "BILLING_DISABLED", quota_share=1),
    )
    # Once the model speaks, its errors are Anthropic's own.
    in_stream = (
        fails("anthropic:APIStatusError", None, "overloaded_error", in_stream_error_share=1),
        fails(
            "anthropic:APIStatusError",
            None,
            "rate_limit_error",
            in_stream_error_share=1,
            status=429,
        ),
    )
    ask = staticmethod(ask)

    @classmethod
    def opened(cls, url: str) -> anthropic.AnthropicVertex:
        return anthropic.AnthropicVertex(
            region="europe-west1",
            project_id="p",
            access_token="t",
            base_url=f"{url}/v1",
            max_retries=0,
            http_client=httpx2.Client(trust_env=False, verify=False),
        )
