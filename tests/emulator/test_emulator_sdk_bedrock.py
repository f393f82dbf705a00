"""Amazon's official client takes the emulator for the real thing, its binary stream included."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from typing import Any

import pytest
from botocore.config import Config
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from botocore.exceptions import ClientError, EventStreamError
from botocore.session import Session

from prober.emulator import Emulator, base_url
from prober.emulator.eventstream import event, exception
from tests.emulator.emulator_sdks import NONCE, PROMPT, Contract, Said, fails

TOKEN = "AWS_BEARER_TOKEN_BEDROCK"
QUESTION: dict[str, Any] = {
    "messages": [{"role": "user", "content": [{"text": PROMPT}]}],
    "inferenceConfig": {"maxTokens": 16},
}


def opened(service: str, url: str, **keys: str) -> Any:
    return Session().create_client(
        service,
        region_name="us-east-1",
        endpoint_url=url,
        verify=False,
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
        **keys,
    )


def signing(service: str, url: str) -> Any:
    return opened(service, url, aws_access_key_id="AKIAEMULATOR", aws_secret_access_key="s")


@pytest.fixture(scope="module", autouse=True)
def _no_files_of_the_host(_no_settings_of_the_host: None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.setenv(name, "/nowhere")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


class TestBedrock(Contract):
    """Signed with version 4."""

    api = "bedrock"
    stops = ("end_turn", "max_tokens", "guardrail_intervened")
    failures = (
        fails(ClientError, 503, "ServiceUnavailableException", error_share=1),
        fails(ClientError, 500, "InternalServerException", error_share=1, status=500),
        fails(ClientError, 429, "ThrottlingException", error_share=1, status=429),
        fails(ClientError, 424, "ModelErrorException", error_share=1, status=424),
        fails(ClientError, 408, "ModelTimeoutException", error_share=1, status=408),
        fails(ClientError, 400, "ValidationException", error_share=1, status=400),
        fails(ClientError, 403, "UnrecognizedClientException", auth_share=1),
        fails(ClientError, 404, "ResourceNotFoundException", model_not_found_share=1),
        fails(ClientError, 429, "tokens per day", quota_share=1),
    )
    in_stream = (
        fails(EventStreamError, None, "serviceUnavailableException", in_stream_error_share=1),
        fails(EventStreamError, None, "throttlingEx", in_stream_error_share=1, status=429),
        fails(EventStreamError, None, "modelStreamErrorEx", in_stream_error_share=1, status=424),
        fails(EventStreamError, None, "internalServerEx", in_stream_error_share=1, status=500),
        fails(EventStreamError, None, "validationEx", in_stream_error_share=1, status=400),
        # This one is of another operation's streams, so here the SDK knows no word for it.
        fails(EventStreamError, in_stream_error_share=1, status=408),
    )

    @classmethod
    def opened(cls, url: str) -> AbstractContextManager[Any]:
        return closing(signing("bedrock-runtime", base_url(url, cls.api)))

    @staticmethod
    def status(error: Any) -> int:
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"])

    @staticmethod
    def ask(client: Any, stream: bool) -> Said:
        said = Said()
        if not stream:
            whole = client.converse(modelId="m", **QUESTION)
            for block in whole["output"]["message"]["content"]:
                thought = block.get("reasoningContent", {}).get("reasoningText", {})
                said.say("thought", thought.get("text"))
                said.say("text", block.get("text"))
            said.stop = whole["stopReason"]
            assert whole["usage"]["outputTokens"] > 0
            return said
        with closing(client.converse_stream(modelId="m", **QUESTION)["stream"]) as events:
            for one in events:
                delta = one.get("contentBlockDelta", {}).get("delta", {})
                said.say("thought", delta.get("reasoningContent", {}).get("text"))
                said.say("text", delta.get("text"))
                said.stop = one.get("messageStop", {}).get("stopReason", said.stop)
        return said

    def test_the_name_of_a_model_may_hold_anything(self, emulator: Emulator, client: Any) -> None:
        name = "arn:aws:bedrock:eu-west-1:0:inference-profile/eu.emulated.model-v1:0"
        client.converse_stream(modelId=name, **QUESTION)["stream"].close()
        assert emulator.requests().last[0].model == name

    def test_an_error_tells_its_request_id(self, emulator: Emulator, client: Any) -> None:
        emulator.set_faults(error_share=1)
        with pytest.raises(ClientError) as raised:
            self.ask(client, stream=True)
        assert raised.value.response["ResponseMetadata"]["RequestId"]


def test_a_bearer_token_serves_as_well(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    def unencrypted(request: Any, **_: Any) -> None:
        assert request.headers["Authorization"] == b"Bearer t"
        request.url = request.url.replace("https://", "http://")

    monkeypatch.setenv(TOKEN, "t")
    with closing(opened("bedrock-runtime", emulator.url.replace("http://", "https://"))) as client:
        # The SDK gives its token to none but TLS, which the emulator does not speak.
        client.meta.events.register("before-send", unencrypted)
        assert "".join(TestBedrock.ask(client, stream=True).texts) == NONCE


def test_the_catalogue_tells_when_a_model_retires(emulator: Emulator) -> None:
    emulator.set_faults("bedrock", "old", retires="2027-01-31")
    emulator.set_faults("bedrock", "gone", model_not_found_share=1)
    with closing(signing("bedrock", emulator.url)) as client:
        listed = {row["modelId"]: row for row in client.list_foundation_models()["modelSummaries"]}
        old = client.get_foundation_model(modelIdentifier="old")["modelDetails"]
        new = client.get_foundation_model(modelIdentifier="new")["modelDetails"]
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            client.get_foundation_model(modelIdentifier="gone")
    life = old["modelLifecycle"]
    assert old == listed["old"]
    assert (life["status"], str(life["endOfLifeTime"])[:10]) == ("LEGACY", "2027-01-31")
    assert new["modelLifecycle"]["status"] == "ACTIVE"
    assert "gone" not in listed


@pytest.mark.parametrize("make", [event, exception])
def test_every_byte_of_a_message_is_under_a_checksum(make: Any) -> None:
    """The SDK's decoder checks both sums, so what it takes unharmed must be right."""
    whole = make("messageStop", {"stopReason": "end_turn"})
    # Changed lengths would make the decoder wait for more.
    for place in range(8, len(whole)):
        harmed = bytearray(whole)
        harmed[place] ^= 1
        buffer = EventStreamBuffer()
        buffer.add_data(bytes(harmed))
        with pytest.raises(ChecksumMismatch):
            next(buffer)
    buffer = EventStreamBuffer()
    buffer.add_data(whole)
    assert next(buffer).payload == b'{"stopReason":"end_turn"}'
