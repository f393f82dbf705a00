"""OpenAI's official SDK takes the emulator for the real thing: both its APIs, and Azure's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from prober.emulator import Emulator, base_url
from tests.emulator.emulator_sdks import PROMPT, Contract, Said, fails
from tests.support.late import late

if TYPE_CHECKING:
    import openai
else:
    openai = late("openai")


def ask_chat(client: openai.OpenAI, stream: bool) -> Said:
    said = Said()
    messages: Any = [{"role": "user", "content": PROMPT}]
    if not stream:
        whole = client.chat.completions.create(model="m", messages=messages)
        message = whole.choices[0].message
        said.say("thought", getattr(message, "reasoning_content", None))
        said.say("text", message.content)
        said.refusal = message.refusal or ""
        said.stop = whole.choices[0].finish_reason
        assert whole.usage is not None
        return said
    options: Any = {"include_usage": True}
    for chunk in client.chat.completions.create(
        model="m", messages=messages, stream=True, stream_options=options
    ):
        for choice in chunk.choices:
            said.say("thought", getattr(choice.delta, "reasoning_content", None))
            said.say("text", choice.delta.content)
            said.refusal += choice.delta.refusal or ""
            said.stop = choice.finish_reason or said.stop
    return said


class Family(Contract):
    # A refusal has a place of its own and ends like any answer.
    stops = ("stop", "length", "stop")
    failures = (
        fails("openai:InternalServerError", 503, error_share=1),
        fails("openai:InternalServerError", 500, error_share=1, status=500),
        fails("openai:RateLimitError", 429, "rate_limit_exceeded", error_share=1, status=429),
        fails("openai:BadRequestError", 400, error_share=1, status=400),
        fails("openai:AuthenticationError", 401, "invalid_api_key", auth_share=1),
        fails("openai:NotFoundError", 404, "model_not_found", model_not_found_share=1),
        fails("openai:RateLimitError", 429, "insufficient_quota", quota_share=1),
    )

    @staticmethod
    def words(error: Any) -> str:
        return f"{error} {getattr(error, 'code', '')} {getattr(error, 'type', '')}"


class TestOpenAI(Family):
    api = "openai"
    in_stream = (fails("openai:APIError", None, "overloaded", in_stream_error_share=1),)
    ask = staticmethod(ask_chat)

    @classmethod
    def opened(cls, url: str) -> openai.OpenAI:
        return plain_client(base_url(url, cls.api))

    def test_usage_comes_last_and_counts_reasoning(
        self, emulator: Emulator, client: openai.OpenAI
    ) -> None:
        emulator.set_faults(self.api, reasoning_pieces=2)
        said: Any = [{"role": "user", "content": PROMPT}]
        *_, last = client.chat.completions.create(
            model="m", messages=said, stream=True, stream_options={"include_usage": True}
        )
        assert last.usage is not None
        assert last.usage.completion_tokens_details is not None
        reasoning = last.usage.completion_tokens_details.reasoning_tokens
        assert 0 < (reasoning or 0) < last.usage.completion_tokens

    def test_an_error_tells_its_request_id(self, emulator: Emulator, client: openai.OpenAI) -> None:
        emulator.set_faults(error_share=1)
        with pytest.raises(openai.InternalServerError) as unavailable:
            self.ask(client, stream=True)
        assert (unavailable.value.request_id or "").startswith("req_")

    def test_a_spent_quota_differs_from_a_rate_limit(
        self, emulator: Emulator, client: openai.OpenAI
    ) -> None:
        emulator.set_faults(quota_share=1)
        with pytest.raises(openai.RateLimitError) as spent:
            self.ask(client, stream=True)
        assert (spent.value.type, spent.value.code) == (
            "insufficient_quota",
            "credit_balance_exhausted",
        )

    def test_the_catalogue_tells_when_a_model_retires(
        self, emulator: Emulator, client: openai.OpenAI
    ) -> None:
        emulator.set_faults(self.api, "old", retires="2027-01-31")
        emulator.set_faults(self.api, "gone", model_not_found_share=1)
        listed = {model.id: model for model in client.models.list()}
        old = client.models.retrieve("old")
        assert old == listed["old"]
        assert old.shutdown_date == "2027-01-31"
        assert client.models.retrieve("new").shutdown_date is None
        assert "gone" not in listed
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("gone")


class BrokenError(Exception):
    """An error inside a stream of responses, which the SDK hands over as an event."""


def ask_responses(client: openai.OpenAI, stream: bool) -> Said:
    said = Said()
    if not stream:
        read(said, client.responses.create(model="m", input=PROMPT, max_output_tokens=16))
        return said
    numbers = []
    for event in client.responses.create(
        model="m", input=PROMPT, max_output_tokens=16, stream=True
    ):
        numbers.append(event.sequence_number)
        match event.type:
            case "response.reasoning_summary_text.delta":
                said.say("thought", event.delta)
            case "response.output_text.delta":
                said.say("text", event.delta)
            case "response.refusal.delta":
                said.refusal += event.delta
            case "response.completed" | "response.incomplete":
                whole = Said()
                read(whole, event.response)
                assert "".join(whole.texts) == "".join(said.texts)
                said.stop = whole.stop
            case "response.failed":
                assert event.response.error is not None
                raise BrokenError(event.response.error.code)
            case "error":
                raise BrokenError(event.code, event.message)
    assert numbers == list(range(len(numbers)))
    return said


def read(said: Said, response: Any) -> None:
    for item in response.output:
        if item.type == "reasoning":
            said.say("thought", item.summary[0].text)
        else:
            said.say("text", getattr(item.content[0], "text", None))
            said.refusal = getattr(item.content[0], "refusal", "")
    incomplete = response.incomplete_details
    said.stop = incomplete.reason if incomplete else response.status
    assert response.usage.output_tokens > 0


class TestResponses(Family):
    api = "openai-responses"
    stops = ("completed", "max_output_tokens", "completed")
    in_stream = (
        fails(BrokenError, None, "rate_limit_exceeded", in_stream_error_share=1, status=429),
        fails(BrokenError, None, "overloaded", in_stream_error_share=1),
        # An error of its own fails the response.
        fails(BrokenError, None, "server_error", in_stream_error_share=1, status=500),
    )
    ask = staticmethod(ask_responses)

    @classmethod
    def opened(cls, url: str) -> openai.OpenAI:
        return plain_client(f"{url}/v1")

    def test_the_sdk_s_own_stream_assembles_the_response(
        self, emulator: Emulator, client: openai.OpenAI
    ) -> None:
        emulator.set_faults(reasoning_pieces=2)
        with client.responses.stream(model="m", input=PROMPT) as events:
            final = events.get_final_response()
        assert final.output_text == "n0nce-42"
        assert [item.type for item in final.output] == ["reasoning", "message"]
        assert final.usage is not None
        assert final.usage.output_tokens_details.reasoning_tokens > 0

    def test_fewer_than_sixteen_tokens_are_refused(
        self, emulator: Emulator, client: openai.OpenAI
    ) -> None:
        with pytest.raises(openai.BadRequestError, match="Expected a value >= 16, but got 15"):
            client.responses.create(model="m", input=PROMPT, max_output_tokens=15)

    def test_the_models_asked_for_here_are_in_the_one_catalogue(
        self, emulator: Emulator, client: openai.OpenAI
    ) -> None:
        self.ask(client, stream=False)
        assert "m" in [model.id for model in client.models.list()]


class TestAzure(Family):
    """The v1 path, as OpenAI's own client takes it."""

    api = "azure-openai"
    # The filter behind the model ends the answer, without a word.
    stops = ("stop", "length", "content_filter")
    refusal = ("", "")
    failures = (
        fails("openai:InternalServerError", 503, "ServiceUnavailable", error_share=1),
        fails("openai:InternalServerError", 500, error_share=1, status=500),
        fails("openai:RateLimitError", 429, "429", error_share=1, status=429),
        fails("openai:BadRequestError", 400, "content_filter", error_share=1, status=400),
        fails("openai:AuthenticationError", 401, "subscription key", auth_share=1),
        fails("openai:NotFoundError", 404, "DeploymentNotFound", model_not_found_share=1),
        fails("openai:RateLimitError", 429, "insufficient_quota", quota_share=1),
    )
    in_stream = (fails("openai:APIError", None, "unable to process", in_stream_error_share=1),)
    ask = staticmethod(ask_chat)

    @classmethod
    def opened(cls, url: str) -> openai.OpenAI:
        # The key goes as a bearer token, which only the prefix tells from OpenAI's.
        return plain_client(base_url(url, cls.api))


class TestAzureDeployment(TestAzure):
    """The classic path of a deployment."""

    @classmethod
    def opened(cls, url: str) -> openai.AzureOpenAI:
        return openai.AzureOpenAI(
            azure_endpoint=url,
            api_version="2024-10-21",
            api_key="k",
            max_retries=0,
            http_client=httpx2.Client(trust_env=False, verify=False),
        )

    def test_the_deployment_in_the_path_is_the_model(
        self, emulator: Emulator, client: openai.AzureOpenAI
    ) -> None:
        self.ask(client, stream=True)
        last = emulator.requests().last[0]
        assert (last.api, last.model) == ("azure-openai", "m")
        assert last.path == "/openai/deployments/m/chat/completions"

    def test_a_rate_limit_tells_how_many_milliseconds_to_wait(
        self, emulator: Emulator, client: openai.AzureOpenAI
    ) -> None:
        emulator.set_faults(error_share=1, status=429)
        with pytest.raises(openai.RateLimitError) as limited:
            self.ask(client, stream=True)
        headers = limited.value.response.headers
        assert (headers["retry-after"], headers["retry-after-ms"]) == ("1", "1000")
        assert headers["apim-request-id"]

    def test_the_catalogue_tells_when_a_model_retires(
        self, emulator: Emulator, client: openai.AzureOpenAI
    ) -> None:
        emulator.set_faults(self.api, "old", retires="2027-01-31")
        emulator.set_faults(self.api, "gone", model_not_found_share=1)
        listed: Any = {model.id: model for model in client.models.list()}
        assert listed["old"].deprecation == {"inference": 1_801_353_600}
        assert listed["old"].lifecycle_status == "deprecating"
        new: Any = client.models.retrieve("new")
        assert new.lifecycle_status == "generally-available"
        assert "gone" not in listed


def plain_client(url: str) -> openai.OpenAI:
    http = httpx2.Client(trust_env=False, verify=False)
    return openai.OpenAI(api_key="k", base_url=url, max_retries=0, http_client=http)
