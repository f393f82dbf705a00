"""Delivery through apprise to real servers, started here."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP

from prober.alerts.apprise_channel import apprise_sender, complain, valid
from prober.alerts.event import AlertEvent, Letter, Severity, letter
from tests.support.network_servers import Authority, proxying

TITLE = "chat failed over: anthropic → openai"
BODY = "\n".join(
    [
        "Why: 9 of 24 anthropic canaries failed in 61 s (overloaded), since 03:11:40.",
        "**Nothing to do.** Stays here until you fail back; I'll say when anthropic is ready.",
        'Force back: `prober pin anthropic --route chat --for 1h --reason "…"`',
        "Incident 142 · https://wiki.example/chat_runbook",
    ]
)


def item(severity: Severity = Severity.WARNING, channel: str = "oncall") -> Letter:
    return letter(AlertEvent("k", "failed_over", "chat", severity, TITLE, BODY, 7.0), channel)


@dataclass
class Hook:
    """A webhook's other end."""

    status: int = 200
    port: int = 0
    taken: list[dict[str, Any]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        self.taken.append(json.loads(await reader.readexactly(length)))
        writer.write(f"HTTP/1.1 {self.status} x\r\ncontent-length: 0\r\n\r\n".encode())
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def hook(status: int = 200, tls: ssl.SSLContext | None = None) -> AsyncIterator[Hook]:
    found = Hook(status)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        found.port = server.sockets[0].getsockname()[1]
        yield found


@pytest.mark.parametrize(
    ("severity", "mark", "kind"),
    [
        (Severity.PAGE, "🔴", "failure"),
        (Severity.WARNING, "🟠", "warning"),
        (Severity.INFO, "🟢", "info"),
    ],
)
async def test_a_webhook_gets_the_whole_letter(severity: Severity, mark: str, kind: str) -> None:
    async with hook() as server:
        send = apprise_sender({"oncall": f"json://127.0.0.1:{server.port}/x"})
        assert await send(item(severity)) == ""
    (said,) = server.taken
    assert (said["title"], said["type"]) == (f"{mark} {TITLE}", kind)
    words = said["message"].replace("*", "").replace("`", "")
    assert words.splitlines() == BODY.replace("*", "").replace("`", "").splitlines()


async def test_a_webhook_that_refuses_has_not_taken_it() -> None:
    async with hook(status=500) as server:
        failure = await apprise_sender({"oncall": f"json://127.0.0.1:{server.port}"})(item())
    assert failure.startswith("not taken (")


async def test_a_webhook_that_is_not_there_has_not_taken_it() -> None:
    async with hook() as server:
        url = f"json://127.0.0.1:{server.port}"
    assert (await apprise_sender({"oncall": url})(item())).startswith("not taken (")


async def test_a_channel_without_a_url_or_with_a_strange_one_says_so() -> None:
    send = apprise_sender({"odd": "nosuchkind://x/secret-token"})
    assert await send(item()) == "no [[alert]] is named 'oncall'"
    failure = await send(item(channel="odd"))
    assert failure == "apprise does not know this kind of URL"


def test_a_channel_that_cannot_be_is_told_without_its_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    complain({"oncall": "json://127.0.0.1/x", "unset": "", "odd": "slak://T1/secret-token"})
    (said,) = caplog.messages
    assert said.startswith('[[alert]] "odd": apprise can do nothing with its url')
    assert "prober check" in said


def test_a_url_can_be_tried_without_sending() -> None:
    assert valid("json://127.0.0.1/x")
    assert not valid("nosuchkind://x")


class Mailbox:
    """An SMTP server's handler."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        parsed = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        self.letters.append(parsed)
        return "250 taken"


async def test_a_mail_server_gets_a_mail_whose_lines_stay_lines() -> None:
    box = Mailbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(box, loop=loop), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        url = f"mailto://127.0.0.1:{port}?from=prober@h.example&to=ann@h.example&mode=insecure"
        assert await apprise_sender({"oncall": url})(item()) == ""
    (mail,) = box.letters
    assert mail["subject"] == f"🟠 {TITLE}"
    assert "ann@h.example" in mail["to"]
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert html is not None
    shown = html.get_content()
    assert "<strong>Nothing to do.</strong>" in shown
    assert "<code>prober pin anthropic --route chat --for 1h" in shown
    assert shown.count("<br") == 3
    assert plain is not None
    assert "chat_runbook" in plain.get_content()


# -- as canaries go: private authorities and proxies -----------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.made(tmp_path_factory.mktemp("ca"))


async def test_a_webhook_of_the_private_authority_is_trusted_where_its_file_is_given(
    authority: Authority,
) -> None:
    async with hook(tls=authority.server("127.0.0.1")) as server:
        urls = {"oncall": f"jsons://127.0.0.1:{server.port}/x"}
        assert await apprise_sender(urls, str(authority.file))(item()) == ""
        # The next one is of a daemon without it, and nothing of the first is left.
        assert (await apprise_sender(urls)(item())).startswith("not taken (")
    assert len(server.taken) == 1


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
async def test_who_asks_for_no_verification_gets_none_with_a_file_too(
    authority: Authority, tmp_path: Path
) -> None:
    other = Authority.made(tmp_path)
    async with hook(tls=other.server("127.0.0.1")) as server:
        urls = {"oncall": f"jsons://127.0.0.1:{server.port}/x?verify=no"}
        assert await apprise_sender(urls, str(authority.file))(item()) == ""


async def test_a_mail_server_of_the_private_authority_is_trusted_where_its_file_is_given(
    authority: Authority,
) -> None:
    box, loop = Mailbox(), asyncio.get_running_loop()
    tls = authority.server("127.0.0.1")
    server = await loop.create_server(
        lambda: SMTP(box, loop=loop, tls_context=tls, require_starttls=True), "127.0.0.1", 0
    )
    async with server:
        port = server.sockets[0].getsockname()[1]
        url = f"mailtos://127.0.0.1:{port}?from=p@h.example&to=ann@h.example&mode=starttls"
        urls = {"oncall": url}
        assert await apprise_sender(urls, str(authority.file))(item()) == ""
        assert (await apprise_sender(urls)(item())).startswith("not taken (")
    assert len(box.letters) == 1


async def test_alerts_go_through_the_proxy_that_canaries_go_through(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks and wildcards too, of which requests itself knows nothing."""
    async with proxying() as proxy, hook(tls=authority.server("hook.test")) as server:
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "*.corp.example,[::1]")
        far = {"oncall": f"jsons://hook.test:{server.port}/x"}
        assert await apprise_sender(far, str(authority.file))(item()) == ""
        assert proxy.requests[0].startswith(f"CONNECT hook.test:{server.port} ".encode())
        monkeypatch.setenv("no_proxy", "127.0.0.0/8,[::1]")
        async with hook() as near:
            urls = {"oncall": f"json://127.0.0.1:{near.port}/x"}
            assert await apprise_sender(urls)(item()) == ""
    assert (len(proxy.requests), len(server.taken), len(near.taken)) == (1, 1, 1)


async def test_a_redirect_is_followed_by_the_way_of_its_own_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The proxy of the first host is not the second one's."""
    async with proxying() as proxy, hook() as target:
        moved = f"HTTP/1.1 307 x\r\nlocation: http://127.0.0.1:{target.port}/y\r\n"
        proxy.answer = f"{moved}content-length: 0\r\n\r\n".encode()
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        assert await apprise_sender({"oncall": "json://hook.test/x?redirect=yes"})(item()) == ""
    assert (len(proxy.requests), len(target.taken)) == (1, 1)
