"""Servers for the tests of the way out: one that keeps connections, TLS, a proxy, a resolver."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.golden.streams import GOLDEN

ANSWER = GOLDEN["openai"].streams["success"]
WHOLE = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    + f"content-length: {len(ANSWER)}\r\n\r\n".encode()
    + ANSWER
)
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Served:
    """Attributes: requests: their heads. connections: how many were opened. answer: to each."""

    port: int = 0
    answer: bytes = WHOLE
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0


@asynccontextmanager
async def listening(
    serve: Serve, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    tasks: set[asyncio.Task[None]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.close()

    listener = await asyncio.start_server(run, host, 0, ssl=tls)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def keeping(tls: ssl.SSLContext | None = None) -> AsyncIterator[Served]:
    """Answers every request well, and keeps the connection for the next one."""
    served = Served()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.connections += 1
        while True:
            served.requests.append(await request_of(reader))
            writer.write(served.answer)
            await writer.drain()

    async with listening(serve, tls=tls) as served.port:
        yield served


async def request_of(reader: asyncio.StreamReader) -> bytes:
    """The head of one request, its body read and dropped."""
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            await reader.readexactly(int(line.partition(b":")[2]))
    return head


@asynccontextmanager
async def proxying(tls: ssl.SSLContext | None = None) -> AsyncIterator[Served]:
    """A proxy: answers plain requests itself, and tunnels to this machine whatever the name."""
    served = Served()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.connections += 1
        while True:
            head = await request_of(reader)
            served.requests.append(head)
            if not head.startswith(b"CONNECT "):
                writer.write(served.answer)
                await writer.drain()
                continue
            port = int(head.split()[1].rpartition(b":")[2])
            there, away = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            try:
                await asyncio.gather(_pipe(reader, away), _pipe(there, writer))
            finally:
                away.close()
            return

    async with listening(serve, tls=tls) as served.port:
        yield served


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
    else:
        writer.close()


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str, after_s: float = 0.0) -> list[str]:
    """The running loop resolves every name to `addresses`, slowly; gives the names asked for."""
    asked: list[str] = []

    async def getaddrinfo(host: str, port: int, **more: Any) -> list[Any]:
        if host == "127.0.0.1":  # no name: a client that warms up
            return [(2, 1, 6, "", (host, port))]
        asked.append(host)
        await asyncio.sleep(after_s)
        # The same address stands there once for each kind of socket.
        return [(2, 1, 6, "", (address, port)) for address in addresses for _ in range(2)]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    return asked


# -- TLS -------------------------------------------------------------------------------------------

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """A private certificate authority. Attributes: file: its certificate in PEM."""

    file: Path
    name: x509.Name
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def made(cls, folder: Path) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("Private CA of the tests")
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        certificate = (
            _builder(name, name, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .sign(key, hashes.SHA256())
        )
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "ca.pem"
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return cls(file, name, key)

    def server(self, host: str, days: float = 1.0) -> ssl.SSLContext:
        """The context of a server that this authority vouches for, for so many days more."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            named: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            named = x509.DNSName(host)
        certificate = (
            _builder(_name(host), self.name, key, days)
            .add_extension(x509.SubjectAlternativeName([named]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
            .sign(self.key, hashes.SHA256())
        )
        file = self.file.with_name(f"{host}.pem")
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _builder(
    name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: float = 1.0
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - max(days, 1.0) * DAY)
        .not_valid_after(now + days * DAY)
    )
