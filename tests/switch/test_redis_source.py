"""Readers on a Redis Cluster and behind TLS."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import redis
import redis.asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from switch.connect import connect_async
from switch.flag import Keys
from switch.redis_source import Nodes, at, entries
from switch.reports import decode_report
from tests.support.servers import Valkey
from tests.switch.proxy import Proxy
from tests.switch.reader_stage import NEVER_S, SOON_S, Make
from tests.switch.redis_nodes import cluster
from tests.switch.switch_redis import Desk, eventually

# -- where to ask ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "nodes"),
    [
        ("redis://h:1/2", ["redis://h:1/2"]),
        ("unix:///a/b", ["unix:///a/b"]),
        ("redis+cluster://h:1,i:2", ["redis://h:1", "redis://i:2"]),
        (
            "rediss+cluster://u:p%40@h:1,i:2?ssl_ca_certs=/ca",
            ["rediss://u:p%40@h:1?ssl_ca_certs=/ca", "rediss://u:p%40@i:2?ssl_ca_certs=/ca"],
        ),
    ],
)
def test_a_cluster_url_names_its_entry_nodes(url: str, nodes: list[str]) -> None:
    assert entries(url) == nodes


@pytest.mark.parametrize("url", ["redis+cluster://", "redis+cluster://u:p@"])
def test_a_cluster_url_without_a_node_says_what_to_write(url: str) -> None:
    with pytest.raises(ValueError, match=r"write redis\+cluster://host:6379,host:6379"):
        entries(url)


@pytest.mark.parametrize(
    ("host", "there"),
    [
        ("10.0.0.2", "rediss://u:p@10.0.0.2:7?ssl_ca_certs=/ca"),
        ("", "rediss://u:p@h:7?ssl_ca_certs=/ca"),
        ("fe80::1", "rediss://u:p@[fe80::1]:7?ssl_ca_certs=/ca"),
    ],
)
def test_another_node_is_asked_with_the_same_login_and_options(host: str, there: str) -> None:
    assert at("rediss://u:p@h:1?ssl_ca_certs=/ca", host, 7) == there


def test_a_lost_node_is_left_for_the_next_and_comes_back_into_turn() -> None:
    nodes = Nodes("redis+cluster://h:1,i:2")
    nodes.moved("chat", "j", 3)
    assert (nodes.of("chat"), nodes.of("mail")) == ("redis://j:3", "redis://h:1")
    nodes.lost("redis://j:3")
    assert nodes.of("chat") == "redis://h:1"
    nodes.lost("redis://h:1")
    assert nodes.of("chat") == nodes.any == "redis://i:2"
    nodes.lost("redis://i:2")
    assert nodes.any == "redis://h:1"


# -- a real cluster ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    with cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@contextlib.asynccontextmanager
async def desk_of(
    route: str, ports: list[int], *, seed: str = ""
) -> AsyncIterator[tuple[Desk, int]]:
    """A desk on the node that has the route, and that node's port; `seed`: the route starts new."""
    keys = Keys(route)
    for port in ports:
        client = connect_async(f"redis://127.0.0.1:{port}", timeout_s=2.0)
        try:
            await client.delete(keys.lease)
        except redis.exceptions.MovedError:
            await client.aclose()
            continue
        if seed:
            await client.delete(keys.state, keys.primary, keys.events, keys.reports)
        desk = await Desk(client, keys).ready()
        if seed:
            await desk.seed(seed)
        yield desk, port
        await client.aclose()
        return


async def test_routes_on_every_node_of_a_cluster_are_read_and_heard(
    make: Make, ports: list[int]
) -> None:
    homes = set()
    routes = ["chat", "mail", "search", "code"]
    url = "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports[:2])
    reader = make(url, routes=routes, poll_s=NEVER_S, report_url=url)
    for route in routes:
        async with desk_of(route, ports, seed="a") as (_, port):
            homes.add(port)
    assert len(homes) > 1, "the routes must not all be on one node"
    await reader.read_once()
    assert [reader.primary(route) for route in routes] == ["a"] * 4
    for route in routes:
        async with desk_of(route, ports) as (desk, _):
            await desk.flip("b", decision_id="later")
            await reader.serves("b", route)
            reader.report("b", ok=True, route=route)

            async def reported(desk: Desk = desk) -> bool:
                entries = await desk.client.xrange(desk.keys.reports)
                return any(decode_report(entry) for _, entry in entries)

            await eventually(reported)


async def test_a_plain_url_of_any_node_finds_its_route_too(make: Make, ports: list[int]) -> None:
    async with desk_of("plain", ports, seed="a") as (desk, home):
        away = next(port for port in ports if port != home)
        reader = make(f"redis://127.0.0.1:{away}", routes=["plain"], poll_s=NEVER_S)
        await reader.serves("a", "plain")
        await desk.flip("b", decision_id="later")
        await reader.serves("b", "plain")


async def test_an_entry_node_that_is_gone_is_passed_over(make: Make, ports: list[int]) -> None:
    async with desk_of("entry", ports, seed="a") as (desk, _):
        url = "redis+cluster://127.0.0.1:1," + ",".join(f"127.0.0.1:{port}" for port in ports)
        reader = make(url, routes=["entry"], poll_s=SOON_S)
        await reader.serves("a", "entry")
        await desk.flip("b", decision_id="later")
        await reader.serves("b", "entry")


async def test_a_slot_that_moves_to_another_node_is_followed(make: Make, ports: list[int]) -> None:
    async with desk_of("moving", ports, seed="a") as (desk, home):
        url = "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports)
        reader = make(url, routes=["moving"], poll_s=SOON_S)
        await reader.serves("a", "moving")
        to = next(port for port in ports if port != home)
        await asyncio.to_thread(move_slot, home, to, "moving")
    async with desk_of("moving", ports) as (desk, there):
        assert there == to
        await desk.flip("b", decision_id="later")
        await reader.serves("b", "moving")


def move_slot(home: int, to: int, route: str) -> None:
    """As redis-cli --cluster reshard does it."""
    with (
        redis.Redis(port=home, decode_responses=True) as source,
        redis.Redis(port=to, decode_responses=True) as target,
    ):
        slot = source.execute_command("CLUSTER", "KEYSLOT", Keys(route).state)
        names = {client: client.execute_command("CLUSTER", "MYID") for client in (source, target)}
        target.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
        source.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
        keys = source.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100)
        source.execute_command("MIGRATE", "127.0.0.1", to, "", 0, 5000, "KEYS", *keys)
        for client in (target, source):
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", names[target])


# -- TLS ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """The file of a new authority, and a server's context that it vouches for."""
    folder = tmp_path_factory.mktemp("ca")
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)

    def certificate(name: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )

    ca = (
        certificate(ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    leaf = (
        certificate(x509.Name([]), key.public_key())
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=True
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    (folder / "leaf.pem").write_bytes(
        leaf.public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "leaf.pem")
    return folder / "ca.pem", context


async def test_a_flag_is_read_and_heard_over_tls(
    make: Make, desk: Desk, valkey: Valkey, tls: tuple[Path, ssl.SSLContext]
) -> None:
    authority, context = tls
    await desk.seed("a")
    async with Proxy.before(valkey.socket, context) as proxy:
        url = f"rediss://127.0.0.1:{proxy.port}?ssl_ca_certs={authority}"
        reader = make(url, {"chat": "x"}, poll_s=NEVER_S)
        await reader.serves("a")
        await desk.flip("b", decision_id="later")
        await reader.serves("b")
        await reader.close()


async def test_a_server_that_nobody_vouches_for_is_not_believed(
    make: Make, desk: Desk, valkey: Valkey, tls: tuple[Path, ssl.SSLContext]
) -> None:
    await desk.seed("a")
    async with Proxy.before(valkey.socket, tls[1]) as proxy:
        reader = make(f"rediss://127.0.0.1:{proxy.port}", {"chat": "x"}, poll_s=SOON_S)

        async def refused() -> bool:
            # A handshake that is only late on a busy machine proves nothing.
            with pytest.raises((redis.RedisError, OSError)) as raised:
                await reader.read_once()
            return "certificate" in str(raised.value).lower()

        await eventually(refused)
        assert reader.primary("chat") == "x"
        await reader.close()
