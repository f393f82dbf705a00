"""Amazon's signatures, checked by a second hand, and Google's tokens."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import google.auth
import pytest
from google.auth import exceptions

from prober.canary import Canary
from prober.clock import Clock
from prober.config.loader import parse
from prober.config.schema import Provider
from prober.probing.credentials import Amazon, CredentialsError, Google, authorizer, missing_extra
from prober.probing.network import Network
from prober.probing.plans import Plan, resolve
from prober.probing.probe import probe
from prober.providers.events import Endpoint, HttpRequest
from prober.sample import Fault, Outcome, Sample
from tests.golden.streams import GOLDEN
from tests.support.raw_server import answering, plain

KEY_ID, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLE", "session-token-0123"
MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"


@pytest.fixture(autouse=True)
def _no_credentials_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        *("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        *("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_EXPIRATION", "AWS_ROLE_ARN"),
        *("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        *("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "BOTO_CONFIG", "AWS_BEARER_TOKEN_BEDROCK"),
        "GOOGLE_APPLICATION_CREDENTIALS",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "absent"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "absent"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


def signature(method: str, path: str, headers: Mapping[str, str], body: bytes) -> str:
    """Signature Version 4 as its documentation tells it, over what a server received.

    The path is encoded once more, as every service but S3 wants it.
    """
    given = headers["authorization"]
    assert given.startswith("AWS4-HMAC-SHA256 ")
    said = dict(part.split("=", 1) for part in given.partition(" ")[2].split(", "))
    names = said["SignedHeaders"].split(";")
    assert {"host", "x-amz-date", "content-type"} <= set(names)
    path, _, query = path.partition("?")
    canonical = "\n".join(
        [
            method,
            quote(path, safe="/-_.~"),
            query,
            *[f"{name}:{' '.join(headers[name].split())}" for name in names],
            "",
            ";".join(names),
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = said["Credential"].partition("/")[2]
    stamp = headers["x-amz-date"]
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    key = b"AWS4" + SECRET.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    assert scope.split("/")[0] == stamp[:8]
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def given(headers: Mapping[str, str]) -> str:
    return headers["authorization"].rpartition("Signature=")[2]


def provider(text: str) -> Provider:
    (found,) = parse(f'[[provider]]\nname = "a"\n{text}').provider
    return found


BEDROCK = f'api = "bedrock"\nmodel = "{MODEL}"\n'


@pytest.mark.parametrize("model", [MODEL, "arn:aws:bedrock:eu-west-1:1:inference-profile/x y~z"])
@pytest.mark.parametrize("session", [True, False])
async def test_a_signed_canary_is_what_amazon_would_accept(
    network: Network, keys: None, monkeypatch: pytest.MonkeyPatch, model: str, session: bool
) -> None:
    """Checked over the bytes that a server received: path, host, headers and body."""
    if session:
        monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    bodies: list[bytes] = []
    learned: list[str] = []
    signer = Amazon("eu-west-1", learned.append)

    async def watched(request: HttpRequest) -> HttpRequest:
        bodies.append(request.body)
        return await signer(request)

    stream = GOLDEN["bedrock"].streams["success"]
    async with answering(plain(stream)) as server:
        target = Endpoint(server.url, model, headers={"x-own": "a  b"})
        sample = await ask(network, Plan("a", "bedrock", target, authorize=watched))
    assert (sample.outcome, sample.detail) == (Outcome.OK, "")
    (head,) = server.requests
    first, *lines = head.decode().rstrip().split("\r\n")
    method, path, _ = first.split()
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert headers.get("x-amz-security-token") == (TOKEN if session else None)
    assert f"Credential={KEY_ID}/" in headers["authorization"]
    assert "/eu-west-1/bedrock/aws4_request" in headers["authorization"]
    assert signature(method, path, headers, bodies[0]) == given(headers)
    assert signature(method, path, headers, bodies[0] + b" ") != given(headers)
    assert learned == [SECRET, TOKEN][: 1 + session]


async def ask(network: Network, plan: Plan) -> Sample:
    return await probe(plan, network, Clock(), id="x", canary=Canary("ab12"))


async def test_without_amazon_s_credentials_the_canary_says_what_to_do(network: Network) -> None:
    sample = await ask(network, Plan("a", "bedrock", Endpoint("http://127.0.0.1:9", MODEL),
                                     authorize=Amazon("eu-west-1", str)))  # fmt: skip
    assert (sample.outcome, sample.fault) == (Outcome.BAD_REQUEST, Fault.CANARY), "ours, no outage"
    assert sample.detail == (
        "no AWS credentials found: set AWS_PROFILE or AWS_ACCESS_KEY_ID and "
        'AWS_SECRET_ACCESS_KEY, or give key = { env = "AWS_BEARER_TOKEN_BEDROCK" }'
    )
    assert (sample.http_status, sample.cost_usd) == (None, 0)


async def test_credentials_that_come_later_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signer = Amazon("eu-west-1", str)
    request = HttpRequest("POST", "https://h.example/x", {"content-type": "x"}, b"{}")
    with pytest.raises(CredentialsError):
        await signer(request)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    signed = await signer(request)
    assert given(signed.headers) == signature("POST", "/x", _with_host(signed), b"{}")


def _with_host(request: HttpRequest) -> dict[str, str]:
    return {**request.headers, "host": urlsplit(request.url).netloc}


async def test_a_profile_that_does_not_exist_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "absent")
    with pytest.raises(CredentialsError, match=r"AWS credentials: .*absent"):
        await Amazon("eu-west-1", str)(HttpRequest("POST", "https://h.example/x", {}, b"{}"))


@pytest.mark.parametrize(
    ("more", "region"),
    [
        ('region = "eu-central-1"\n', "eu-central-1"),
        ('base_url = "https://bedrock-runtime.ap-southeast-2.amazonaws.com"\n', "ap-southeast-2"),
        ('base_url = "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com"\n',
         "us-gov-west-1"),
        ('base_url = "https://vpce-1.bedrock-runtime.eu-west-3.vpce.amazonaws.com"\n', "eu-west-3"),
        ('base_url = "http://127.0.0.1:9"\n', "us-east-1"),
    ],
)  # fmt: skip
def test_the_region_is_said_or_stands_in_the_address(more: str, region: str) -> None:
    found = authorizer(provider(BEDROCK + more), str)
    assert isinstance(found, Amazon)
    assert found.region == region


def test_a_key_is_enough_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is signed then, nothing fetched, and no extra needed."""
    monkeypatch.setenv("A_KEY", "secret-key-0123")
    key = 'key = { env = "A_KEY" }\n'
    for text in (
        BEDROCK + 'region = "eu-west-1"\n' + key,
        'api = "vertex"\nmodel = "m"\nproject = "p"\nlocation = "eu"\n' + key,
        'api = "openai"\nmodel = "m"\n' + key,
    ):
        found = provider(text)
        assert authorizer(found, str) is None
        assert missing_extra(found) == ""


@pytest.mark.parametrize(
    ("text", "module", "extra"),
    [
        (BEDROCK + 'region = "eu-west-1"\n', "botocore", "bedrock"),
        ('api = "vertex"\nmodel = "m"\nproject = "p"\nlocation = "eu"\n', "google", "vertex"),
    ],
)
def test_an_extra_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, text: str, module: str, extra: str
) -> None:
    found = provider(text)
    assert missing_extra(found) == ""

    def absent(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr("prober.probing.credentials.import_module", absent)
    wanted = f'api = "{found.api}" needs {module}: pip install "prober-llm[{extra}]"'
    assert missing_extra(found) == wanted


# -- Google ----------------------------------------------------------------------------------------


class Token:
    """Application default credentials that remember how they were used."""

    def __init__(self) -> None:
        self.token = ""
        self.valid = False
        self.threads: list[threading.Thread] = []
        self.error: Exception | None = None

    def refresh(self, transport: Any) -> None:
        self.threads.append(threading.current_thread())
        if self.error is not None:
            raise self.error
        self.token, self.valid = f"ya29.token-{len(self.threads)}", True


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> Token:
    token = Token()
    asked: list[Any] = []

    def default(scopes: list[str]) -> tuple[Token, str]:
        asked.append(scopes)
        assert asked == [["https://www.googleapis.com/auth/cloud-platform"]], "found once"
        return token, "project"

    monkeypatch.setattr(google.auth, "default", default)
    return token


VERTEX = Endpoint("http://127.0.0.1:9", "gemini-3-flash", project="p", location="eu")


async def test_a_token_is_fetched_once_and_anew_when_it_has_expired(token: Token) -> None:
    learned: list[str] = []
    signer = Google(learned.append)
    request = HttpRequest("POST", "https://h.example/x", {"x-own": "1"}, b"{}")
    first, second = await signer(request), await signer(request)
    token.valid = False
    third = await signer(request)
    assert [one.headers["authorization"] for one in (first, second, third)] == [
        "Bearer ya29.token-1",
        "Bearer ya29.token-1",
        "Bearer ya29.token-2",
    ]
    assert first.headers["x-own"] == "1"
    assert "authorization" not in request.headers
    assert set(learned) == {"ya29.token-1", "ya29.token-2"}
    assert threading.main_thread() not in token.threads, "never in the event loop"


async def test_a_canary_carries_google_s_token(network: Network, token: Token) -> None:
    stream = GOLDEN["vertex"].streams["success"]
    async with answering(plain(stream)) as server:
        target = Endpoint(server.url, "gemini-3-flash", project="p", location="eu")
        sample = await ask(network, Plan("a", "vertex", target, authorize=Google(str)))
    assert sample.outcome is Outcome.OK
    assert b"\r\nauthorization: Bearer ya29.token-1\r\n" in server.requests[0].lower().replace(
        b"bearer", b"Bearer"
    )


async def test_a_token_that_is_refused_is_the_account_s_and_says_what_to_do(
    network: Network, token: Token
) -> None:
    token.error = exceptions.RefreshError("invalid_grant: expired\nmore lines")
    sample = await ask(network, Plan("a", "vertex", VERTEX, authorize=Google(str)))
    assert (sample.outcome, sample.fault) == (Outcome.AUTH, Fault.ACCOUNT)
    assert sample.detail == (
        "Google credentials: invalid_grant: expired "
        "(gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS)"
    )


async def test_a_token_service_out_of_reach_is_a_fault_of_the_path(
    network: Network, token: Token
) -> None:
    token.error = exceptions.TransportError("no route to host")
    sample = await ask(network, Plan("a", "vertex", VERTEX, authorize=Google(str)))
    assert (sample.outcome, sample.fault) == (Outcome.CONNECT, Fault.PATH)
    assert sample.detail == "Google's token service: no route to host"


async def test_no_google_credentials_at_all_says_what_to_do(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    def default(scopes: list[str]) -> Any:
        raise exceptions.DefaultCredentialsError("Your default credentials were not found.")

    monkeypatch.setattr(google.auth, "default", default)
    sample = await ask(network, Plan("a", "vertex", VERTEX, authorize=Google(str)))
    assert (sample.outcome, sample.fault) == (Outcome.BAD_REQUEST, Fault.CANARY)
    assert sample.detail.startswith("no Google credentials on this machine: Your default")
    assert "application-default login" in sample.detail


def test_what_is_fetched_is_scrubbed(keys: None) -> None:
    """The signer tells the configuration's scrubber what it learns."""
    found = resolve(parse(f'[[provider]]\nname = "a"\n{BEDROCK}region = "eu-west-1"\n'))
    signer = found.plans["a"].authorize
    assert isinstance(signer, Amazon)
    signer._frozen()
    assert SECRET not in found.scrub(f"the secret {SECRET} leaked")
