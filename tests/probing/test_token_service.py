"""Google's token service at its worst, through google-auth's own code and real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions as aws
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from prober.canary import Canary
from prober.clock import Clock
from prober.config.schema import Provider
from prober.probing import credentials
from prober.probing.capture import Capture
from prober.probing.credentials import Amazon, CredentialsError, Google, missing_extra
from prober.probing.network import Network
from prober.probing.plans import Plan
from prober.probing.probe import probe
from prober.providers.events import Endpoint, HttpRequest
from prober.sample import Outcome, Sample
from tests.golden.streams import GOLDEN
from tests.support.network_servers import Authority, listening, proxying, request_of
from tests.support.raw_server import RawServer, answering, plain, silent_after

GOOD = b'{"access_token": "ya29.token", "expires_in": 3600}'


@pytest.fixture(scope="module")
def key() -> str:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    plain_text = serialization.NoEncryption()
    return made.private_bytes(serialization.Encoding.PEM, form, plain_text).decode()


@pytest.fixture
def account(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes the service account's file, with the address of its token service."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    row = Provider.model_validate(
        {"name": "a", "api": "vertex", "model": "m", "project": "p", "location": "eu"}
    )
    assert missing_extra(row) == ""  # imported here, as at the start, and not in the event loop

    def write(port: int, place: str = "http://127.0.0.1") -> None:
        file = tmp_path / "account.json"
        said = {
            "type": "service_account",
            "project_id": "p",
            "private_key_id": "1",
            "private_key": key,
            "client_email": "c@p.iam.gserviceaccount.com",
            "token_uri": f"{place}:{port}/token",
        }
        file.write_text(json.dumps(said), "utf-8")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))

    return write


@asynccontextmanager
async def token_service(
    status: int, body: bytes, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawServer]:
    server = RawServer(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            server.requests.append(await request_of(reader))
            head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()

    async with listening(serve, tls=tls) as server.port:
        yield server


async def ask(network: Network, url: str = "http://127.0.0.1:9", **more: Any) -> Sample:
    target = Endpoint(url, "gemini-3-flash", project="p", location="eu")
    values: dict[str, Any] = {"first_text_timeout_s": 8.0, "authorize": Google(str), **more}
    plan = Plan("a", "vertex", target, **values)
    return await probe(plan, network, Clock(), id="x", canary=Canary("ab12"))


async def test_a_token_service_that_works_lets_the_canary_pass(
    network: Network, account: Any
) -> None:
    async with (
        token_service(200, GOOD) as service,
        answering(plain(GOLDEN["vertex"].streams["success"])) as server,
    ):
        account(service.port)
        sample = await ask(network, server.url)
    assert (sample.outcome, sample.detail) == (Outcome.OK, "")


GRANT = b'{"error": "invalid_grant", "error_description": "Invalid JWT Signature."}'


@pytest.mark.parametrize(
    ("status", "body", "outcome", "said"),
    [
        (400, GRANT, Outcome.AUTH, "Google credentials: invalid_grant: Invalid JWT Signature. ("),
        (401, GRANT, Outcome.AUTH, "Google credentials: invalid_grant: Invalid JWT Signature. ("),
        (500, b"{}", Outcome.SERVER_ERROR, "HTTP 500, and no token"),
        (503, b"<html>", Outcome.OVERLOADED, "HTTP 503, and no token"),
        (429, b"{}", Outcome.RATE_LIMITED, "HTTP 429, and no token"),
        (200, b"<html>hello</html>", Outcome.SERVER_ERROR, "HTTP 200, and no token"),
        (200, b"[1]", Outcome.SERVER_ERROR, "HTTP 200, and no token"),
        (200, b"{}", Outcome.SERVER_ERROR, "HTTP 200, and no token"),
        (200, b'{"access_token": "x", "expires_in": {}}', Outcome.SERVER_ERROR, "HTTP 200, and no"),
        (403, b"<html>", Outcome.SERVER_ERROR, "HTTP 403, and no token"),
    ],
)
async def test_what_the_token_service_answers_has_its_outcome(
    network: Network,
    account: Any,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    body: bytes,
    outcome: Outcome,
    said: str,
) -> None:
    monkeypatch.setattr("google.auth._exponential_backoff.time.sleep", lambda seconds: None)
    async with token_service(status, body) as service:
        account(service.port)
        sample = await ask(network)
    assert sample.outcome is outcome
    place = "" if outcome is Outcome.AUTH else "Google's token service (127.0.0.1): "
    assert sample.detail.startswith(f"{place}{said}")
    assert (sample.http_status, sample.cost_usd) == (None, 0)


async def test_a_token_service_that_refuses_connections_is_no_reset(
    network: Network, account: Any
) -> None:
    account(9)
    sample = await ask(network)
    assert sample.outcome is Outcome.CONNECT
    assert sample.detail == "Google's token service (127.0.0.1): Connection refused"


async def test_a_token_service_that_hangs_ends_before_the_canary_does(
    network: Network, account: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "TOKEN_S", 60.0)
    monkeypatch.setattr(credentials, "FETCH_S", 0.3)
    async with answering(silent_after()) as service:
        account(service.port)
        signer = Google(str)
        samples = await asyncio.gather(*(ask(network, authorize=signer) for _ in range(20)))
    assert {sample.outcome for sample in samples} == {Outcome.CONNECT}
    assert samples[0].detail == "Google's token service: no answer in 0.3 s"
    assert len(service.requests) == 1, "one fetch under way, whoever waits for it"


async def test_a_token_service_s_silence_is_said_in_plain_words(
    network: Network, account: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "TOKEN_S", 0.2)
    async with answering(silent_after()) as service:
        account(service.port)
        sample = await ask(network)
    assert sample.outcome is Outcome.CONNECT
    assert sample.detail == "Google's token service (127.0.0.1): no answer in 0.2 s"


async def test_a_canary_with_less_time_than_the_token_says_what_it_waited_for(
    network: Network, account: Any
) -> None:
    async with answering(silent_after()) as service:
        account(service.port)
        sample = await ask(network, first_text_timeout_s=0.2)
    assert (sample.outcome, sample.detail) == (
        Outcome.TIMEOUT_FIRST_TEXT,
        "no credentials in 0.2 s",
    )


async def test_the_way_to_a_token_is_no_part_of_the_canary_s_phases(network: Network) -> None:
    """Else a slow token service would look like a slow name server, and a slow model."""

    async def slow(request: Any) -> Any:
        await asyncio.sleep(0.3)
        return request

    async with answering(plain(GOLDEN["vertex"].streams["success"])) as server:
        named = server.url.replace("127.0.0.1", "localhost")  # an address asks no name server
        target = Endpoint(named, "gemini-3-flash", project="p", location="eu")
        clock, tape = Clock(), Capture()
        began_s = clock.mono()
        plan = Plan("a", "vertex", target, authorize=slow)
        sample = await probe(plan, network, clock, id="x", canary=Canary("ab12"), tape=tape)
    assert sample.started_s >= began_s + 0.3
    assert tape.fetched_s is not None
    assert tape.fetched_s >= 0.3
    assert sample.phases.dns_s is not None
    assert sample.phases.dns_s < 0.3


# -- Amazon ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (aws.EndpointConnectionError(endpoint_url="https://sts.example"), Outcome.CONNECT),
        (aws.ReadTimeoutError(endpoint_url="https://sts.example"), Outcome.CONNECT),
        (aws.UnauthorizedSSOTokenError(), Outcome.AUTH),
        (aws.PartialCredentialsError(provider="env", cred_var="x"), Outcome.BAD_REQUEST),
        (TypeError("secret words"), Outcome.BAD_REQUEST),
        *(
            (
                aws.ClientError(
                    {"Error": {"Code": "X"}, "ResponseMetadata": {"HTTPStatusCode": status}},
                    "AssumeRole",
                ),
                outcome,
            )
            for status, outcome in [
                (403, Outcome.AUTH), (500, Outcome.SERVER_ERROR), (503, Outcome.OVERLOADED)
            ]
        ),
    ],
)  # fmt: skip
async def test_what_botocore_raises_has_its_outcome(
    network: Network, error: Exception, outcome: Outcome
) -> None:
    class Credentials:
        def get_frozen_credentials(self) -> Any:
            assert threading.current_thread() is not threading.main_thread()
            raise error

    signer = Amazon("eu-west-1", str, [Credentials()])
    plan = Plan("a", "bedrock", Endpoint("http://127.0.0.1:9", "m"), authorize=signer)
    sample = await probe(plan, network, Clock(), id="x")
    assert sample.outcome is outcome
    assert sample.detail.startswith("AWS credentials: ")
    assert "secret words" not in sample.detail


# -- private authorities and proxies ---------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.made(tmp_path_factory.mktemp("ca"))


async def test_google_s_token_service_is_reached_by_our_proxy_and_our_certificates(
    account: Any, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = HttpRequest("POST", "https://h.example/x", {}, b"{}")
    tls = authority.server("tokens.test")
    async with token_service(200, GOOD, tls) as service, proxying() as proxy:
        account(service.port, "https://tokens.test")
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        signed = await Google(str, ca_file=str(authority.file))(request)
        assert signed.headers["authorization"] == "Bearer ya29.token"
        with pytest.raises(CredentialsError, match="certificate"):
            await Google(str)(request)
    assert proxy.requests[0].startswith(f"CONNECT tokens.test:{service.port} ".encode())


STS = b"""<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><SessionToken>t</SessionToken>
<SecretAccessKey>secret-0123456789</SecretAccessKey><AccessKeyId>AKIAEXAMPLE</AccessKeyId>
<Expiration>2100-01-01T00:00:00Z</Expiration></Credentials>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""


async def test_amazon_s_token_service_is_reached_by_our_proxy_and_our_certificates(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "token").write_text("identity")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/prober")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    request = HttpRequest("POST", "https://h.example/x", {}, b"{}")
    tls = authority.server("sts.test")
    async with token_service(200, STS, tls) as service, proxying() as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"https://sts.test:{service.port}")
        monkeypatch.setenv("all_proxy", f"http://127.0.0.1:{proxy.port}")
        signed = await Amazon("eu-west-1", str, ca_file=str(authority.file))(request)
    assert "Credential=AKIAEXAMPLE/" in signed.headers["authorization"]
    assert proxy.requests[0].startswith(f"CONNECT sts.test:{service.port} ".encode())


def test_the_certificates_for_amazon_are_in_one_file_that_goes_with_the_process(
    tmp_path: Path,
) -> None:
    ours = tmp_path / "ours.pem"
    ours.write_text("our authority\n")
    script = (
        "import sys; from prober.probing.credentials import Amazon\n"
        "first, again = (Amazon('eu-west-1', str, ca_file=sys.argv[1])._bundle for _ in range(2))\n"
        "assert first == again\n"
        "assert open(first).read().endswith('our authority\\n')\n"
        "print(first)"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, str(ours)],
        env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(said.stdout.strip()).parent == tmp_path
    assert list(tmp_path.iterdir()) == [ours]
