"""Certificates that end soon: seen on real connections, told in time, and not every minute."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from prober.clock import Clock
from prober.daemon.housekeeping import Housekeeping
from prober.daemon.parts import Parts
from prober.daemon.systemd import Systemd
from prober.probing.certificates import Certificates, Validity, validity
from prober.probing.network import Network
from tests.support.network_servers import Authority, keeping, proxying

DAY_S = 86_400
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()


def ending(days: float, life_days: float = 90) -> Validity:
    return Validity(NOW + (days - life_days) * DAY_S, NOW + days * DAY_S)


@pytest.mark.parametrize(
    ("days", "soon", "clause"),
    [
        (60, False, "ends on 2027-01-26, in 60 days"),
        (14.5, False, "ends on 2026-12-12, in 14 days"),
        (13.9, True, "ends on 2026-12-11, in 13 days"),
        (1.5, True, "ends on 2026-11-29, in 1 day"),
        (0.2, True, "ends on 2026-11-27, within a day"),
        (-1.5, True, "ended on 2026-11-26"),
    ],
)
def test_the_last_fourteen_days_are_soon(days: float, soon: bool, clause: str) -> None:
    assert ending(days).ends_soon(NOW) is soon
    assert ending(days).clause(NOW) == clause
    assert ending(days).sentence("h.example", NOW) == f"the certificate of h.example {clause}"


def test_a_certificate_that_lives_a_week_does_not_always_end_soon() -> None:
    assert [ending(days, 6.7).ends_soon(NOW) for days in (6, 2.5, 1.9)] == [False, False, True]


def test_people_are_reminded_at_seven_three_and_one_day_and_told_of_each_certificate() -> None:
    said = [ending(days).telling(NOW) for days in (20, 13, 8, 7, 4, 3, 2, 0.5, -1)]
    ends = [int(ending(days).ends_at) for days in (13, 8, 7, 4, 3, 2, 0.5, -1)]
    assert said == ["", *(f"{end}/{at}" for end, at in zip(ends, (14, 14, 7, 7, 3, 3, 1, 1),
                                                            strict=True))]  # fmt: skip


def test_what_names_no_end_says_nothing() -> None:
    assert validity({}) is None
    assert validity({"notBefore": "x", "notAfter": "y"}) is None
    assert Certificates().of("h.example") is None


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.made(tmp_path_factory.mktemp("ca"))


async def get(network: Network, url: str) -> httpx.Response:
    return await network.kept.get(url)


async def test_the_end_is_seen_on_a_connection_that_stands_and_again_when_it_is_renewed(
    authority: Authority,
) -> None:
    async with Network(str(authority.file)) as network:
        for days in (5, 80):
            async with keeping(authority.server("127.0.0.1", days)) as server:
                await get(network, f"https://127.0.0.1:{server.port}/")
            seen = network.certificates.of("127.0.0.1")
            assert seen is not None
            assert round((seen.ends_at - Clock().now()) / DAY_S) == days


async def test_behind_a_proxy_the_end_is_the_server_s(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        keeping(authority.server("provider.test", 9)) as server,
        proxying(authority.server("127.0.0.1", 50)) as proxy,
    ):
        monkeypatch.setenv("https_proxy", f"https://127.0.0.1:{proxy.port}")
        async with Network(str(authority.file)) as network:
            await get(network, f"https://provider.test:{server.port}/")
    seen = network.certificates.of("provider.test")
    assert seen is not None
    assert round((seen.ends_at - Clock().now()) / DAY_S) == 9


async def test_what_ends_soon_is_told_once_with_whose_it_is(authority: Authority) -> None:
    told: list[tuple[Any, ...]] = []

    class Notifier:
        async def certificate(self, *said: Any) -> None:
            told.append(said)

    async with (
        keeping(authority.server("127.0.0.1", 5)) as server,
        Network(str(authority.file)) as network,
    ):
        await get(network, f"https://127.0.0.1:{server.port}/")
        daemon = SimpleNamespace(
            network=network,
            notifier=Notifier(),
            clock=Clock(),
            hosts=lambda: {"127.0.0.1": ["provider a"], "silent.example": ["the heartbeat"]},
        )
        housekeeping = Housekeeping(cast(Parts, daemon), cast(Systemd, None))
        for _ in range(3):
            await housekeeping._certificates()
    ((host, seen, whose),) = told
    assert (host, whose) == ("127.0.0.1", ["provider a"])
    assert seen == network.certificates.of("127.0.0.1")
