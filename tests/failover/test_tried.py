"""What `prober check` tries: channels and folders offline; Redis, SQL and keys for real."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from pathlib import Path
from typing import Any

import pytest

from prober.cli.check_offline import channel_problem, missing_part, unwritable
from prober.cli.check_online import database, key, redis
from prober.config.schema import Provider
from prober.history.store.schema import open_engine, upgrade
from prober.probing.network import Network
from prober.probing.plans import Plan
from prober.providers.events import Endpoint
from tests.support.raw_server import answering
from tests.support.raw_server import plain as raw
from tests.support.servers import Valkey
from tests.switch.redis_nodes import free_port, running, wait_up

# -- alert channels --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("json://h.example/x", ""),
        ("slack://TA/B1/secretsecret123", ""),
        ("slak://T1/secret-token", 'apprise knows no "slak://"; did you mean "slack://"?'),
        ("nosuchkind://x", 'apprise knows no "nosuchkind://"'),
        ("slack://T1", "apprise refuses it: its Slack (second) Token is missing or malformed"),
        ("discord://abc", "apprise refuses it: its Discord Webhook Token is missing or malformed"),
        ("mailto://", "apprise refuses it; write it like mailto://"),
        ("oncall", "is no URL of a channel; write it like mailto://user:password@host?to=…"),
        ("https://h.example/x", "apprise knows no service there; a webhook of your own is jsons"),
    ],
)
def test_a_channel_s_url_is_read_by_apprise_itself(url: str, why: str) -> None:
    found = channel_problem(url)
    assert found.startswith(why) if why else found == ""
    assert "secret" not in found


def test_a_plugin_s_words_do_not_give_away_what_it_was_given() -> None:
    said = "An invalid Twilio Account SID (hush-hush) was specified."
    assert missing_part(said, "twilio://hush-hush:x@y") == (
        ": its Twilio Account SID is missing or malformed"
    )
    odd = "An invalid Token hush-hush (deep (er) was specified."
    assert missing_part(odd, "x://hush-hush%20(deep%20(er") == ""
    assert missing_part("whatever", "x://y") == ""


# -- folders ---------------------------------------------------------------------------------------


def test_a_folder_that_is_still_to_be_made_is_fine_and_nothing_is_made(tmp_path: Path) -> None:
    assert unwritable(tmp_path / "a" / "b") == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_none_or_takes_no_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert unwritable(tmp_path / "file") == f"{tmp_path / 'file'} is no folder; name another one"
    assert "cannot be written" in unwritable(Path("/proc/self/nothing"))


# -- online ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "fine", "words"),
    [
        ("401 Unauthorized", False, "HTTP 401: the key is refused; put a valid one where"),
        ("404 Not Found", None, "its list of models answers HTTP 404; try: prober probe a"),
    ],
)
async def test_online_a_key_is_tried_by_the_list_of_models(
    status: str, fine: bool | None, words: str
) -> None:
    provider = Provider(name="a", api="openai", model="m-1")
    async with (
        answering(raw(status=status, headers="content-length: 0\r\n")) as server,
        Network() as network,
    ):
        plan = Plan("a", "openai", Endpoint(f"{server.url}/v1", "m-1", "sk-very-secret"))
        found, said = await key(provider, plan, network)
    assert found is fine
    assert said.startswith(words)


async def test_online_a_list_that_is_open_to_all_proves_no_key() -> None:
    provider = Provider(name="a", api="openai", model="m-1", preset="openrouter")
    plan = Plan("a", "openai", Endpoint("http://127.0.0.1:1/v1", "m-1", "sk-very-secret"))
    async with Network() as network:
        found, said = await key(provider, plan, network)
    assert (found, said) == (
        None, "there is no free call that needs the key; try: prober probe a",
    )  # fmt: skip


@pytest.fixture
async def guarded(tmp_path: Path) -> Any:
    """A server with a password, and a user who may do little."""
    port = free_port()
    acl = tmp_path / "users.acl"
    acl.write_text(
        "user default on >right ~* &* +@all\nuser weak on >weak ~* &* +@all -xread -wait\n"
    )
    arguments = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--aclfile", str(acl))
    with running(*arguments):
        await asyncio.to_thread(wait_up, port, password="right")
        yield port


async def test_online_redis_says_what_is_wrong_with_it(guarded: int) -> None:
    place = f"127.0.0.1:{guarded}/0"
    assert (await redis(f"redis://:right@{place}", "prober", str))[0] is True
    fine, said = await redis(f"redis://:hush@{place}", "prober", str)
    assert (fine, said) == (
        False, "it refuses the user or the password that [redis].url points at",
    )  # fmt: skip
    fine, said = await redis(f"redis://{place}", "prober", str)
    assert fine is False
    fine, said = await redis(f"redis://weak:weak@{place}", "prober", str)
    assert (fine, said) == (False, "its user lacks +xread +wait; see deploy/redis.acl")
    fine, said = await redis("redis://127.0.0.1:1/0", "prober", str)
    assert fine is False
    assert said.endswith("; see [redis].url")
    assert (await redis("", "prober", str))[0] is None


async def test_online_the_shipped_user_of_the_daemon_may_all_that_is_tried(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"writer").hexdigest()
    shipped = Path(__file__).parents[2] / "deploy/redis.acl"
    text = re.sub("PUT-THE-SHA256-OF-THE-[A-Z]+-PASSWORD-HERE", digest, shipped.read_text())
    (tmp_path / "users.acl").write_text(text)
    port, acl = free_port(), str(tmp_path / "users.acl")
    with running("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--aclfile", acl):
        await asyncio.to_thread(wait_up, port, password="writer")
        url = f"redis://prober-writer:writer@127.0.0.1:{port}"
        fine, said = await redis(url, "prober", str)
        elsewhere = await redis(url, "other", str)
    assert (fine, said) == (True, "it can be written, and every command is allowed")
    assert elsewhere[0] is False


async def test_online_redis_leaves_nothing_behind(valkey: Valkey, redis_client: Any) -> None:
    assert (await redis(valkey.url, "prober", str))[0] is True
    assert await redis_client.keys("*") == []


def test_online_the_database_s_schema_is_named(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/prober.db"
    assert database(url, str) == (True, "there is no file yet; `prober run` makes it")
    assert not os.listdir(tmp_path)
    engine = open_engine(url)
    upgrade(engine)
    engine.dispose()
    assert database(url, str) == (True, "its schema is current")
    (tmp_path / "odd.db").write_text("no database at all, but long enough to be taken for one" * 9)
    fine, said = database(f"sqlite:///{tmp_path}/odd.db", str)
    assert (fine, said) == (False, "file is not a database; see [database].url")
