"""The truth table of an installation: state folder, Redis, and the place of both."""

from __future__ import annotations

import pytest

from prober.history.installation import (
    Act,
    Folder,
    InstallationVerdict,
    RedisIdentity,
    identify,
    place_of,
)

HERE, THERE = "cache:6379/0", "other:6379/0"
OURS, THEIRS, FRESH = "1" * 32, "2" * 32, "f" * 32

NEW = Folder("/s")
OLD = Folder("/s", place=HERE, holds=True)  # older than ids; the configuration in force says where
OLD_ELSEWHERE = Folder("/s", place=THERE, holds=True)
OLD_NOWHERE = Folder("/s", holds=True)
KNOWN = Folder("/s", OURS, HERE, holds=True)
KNOWN_ELSEWHERE = Folder("/s", OURS, THERE, holds=True)
BARE = Folder("/s", OURS, HERE)
BARE_ELSEWHERE = Folder("/s", OURS, THERE)

EMPTY, UNNAMED = RedisIdentity(), RedisIdentity(holds=True)
OUR_REDIS, OUR_EMPTY = RedisIdentity(OURS, holds=True), RedisIdentity(OURS)
THEIR_REDIS, THEIR_EMPTY = RedisIdentity(THEIRS, holds=True), RedisIdentity(THEIRS)

USE, WAIT = Act.USE, Act.WAIT
Verdict = InstallationVerdict
TABLE = {
    "everything fresh": (NEW, EMPTY, Verdict(Act.CLAIM, FRESH)),
    "a folder that was lost takes what Redis says": (NEW, OUR_REDIS, Verdict(USE, OURS)),
    "a newcomer to an installation without a flag": (NEW, OUR_EMPTY, Verdict(USE, OURS)),
    "a newcomer to flags older than ids": (NEW, UNNAMED, Verdict(Act.CLAIM, FRESH)),
    "fresh, and Redis away": (NEW, None, Verdict(WAIT)),
    "an upgrade: nobody has an id": (OLD, UNNAMED, Verdict(Act.CLAIM, FRESH)),
    "an upgrade, another vantage was first": (OLD, OUR_REDIS, Verdict(USE, OURS)),
    "an upgrade while Redis was emptied": (OLD, EMPTY, Verdict(Act.CLAIM, FRESH)),
    "an upgrade while Redis is away": (OLD, None, Verdict(WAIT)),
    "an upgrade, nobody knows the place": (OLD_NOWHERE, UNNAMED, Verdict(Act.CLAIM, FRESH)),
    "an upgrade, nobody knows the place, Redis away": (OLD_NOWHERE, None, Verdict(WAIT)),
    "the same, another vantage was first": (OLD_NOWHERE, OUR_REDIS, Verdict(USE, OURS)),
    "as every day": (KNOWN, OUR_REDIS, Verdict(USE, OURS)),
    "no flag yet": (BARE, OUR_EMPTY, Verdict(USE, OURS)),
    "Redis away": (KNOWN, None, Verdict(USE, OURS)),
    "Redis emptied": (KNOWN, EMPTY, Verdict(Act.CLAIM, OURS)),
    "a backup older than ids was restored": (KNOWN, UNNAMED, Verdict(Act.CLAIM, OURS)),
    "emptied before there was a flag": (BARE, EMPTY, Verdict(Act.CLAIM, OURS)),
    "emptied, and a newcomer named it first": (
        KNOWN, THEIR_EMPTY, Verdict(Act.CLAIM, OURS, instead_of=THEIRS),
    ),
    "the newcomer then gives way": (BARE, RedisIdentity(THEIRS), Verdict(USE, THEIRS)),
    "Redis moved with its data": (KNOWN_ELSEWHERE, OUR_REDIS, Verdict(USE, OURS)),
    "a folder that knows nothing joins whatever Redis": (
        BARE_ELSEWHERE, THEIR_REDIS, Verdict(USE, THEIRS),
    ),
    "a copied folder that knows nothing is a new installation": (
        BARE_ELSEWHERE, EMPTY, Verdict(Act.CLAIM, FRESH),
    ),
    "such a copy, Redis away": (BARE_ELSEWHERE, None, Verdict(WAIT)),
}  # fmt: skip
HELD = {
    "Redis was swapped for another's": (KNOWN, THEIR_REDIS),
    "another configuration with our folder, a Redis of others": (KNOWN_ELSEWHERE, THEIR_REDIS),
    "and one that they have just begun with": (KNOWN_ELSEWHERE, THEIR_EMPTY),
    "another configuration with our folder, a fresh Redis": (KNOWN_ELSEWHERE, EMPTY),
    "a copied folder, and flags older than ids": (KNOWN_ELSEWHERE, UNNAMED),
    "another configuration, and its Redis away": (KNOWN_ELSEWHERE, None),
    "an old folder of another place, a fresh Redis": (OLD_ELSEWHERE, EMPTY),
    "an old folder of another place, flags older than ids": (OLD_ELSEWHERE, UNNAMED),
    "an old folder of another place, a Redis of others": (OLD_ELSEWHERE, THEIR_REDIS),
    "an old folder of another place, Redis away": (OLD_ELSEWHERE, None),
    "an old folder of nobody knows where, a fresh Redis": (OLD_NOWHERE, EMPTY),
}


@pytest.mark.parametrize("case", TABLE)
def test_what_belongs_together_is_used(case: str) -> None:
    folder, redis, wanted = TABLE[case]
    assert identify(folder, redis, HERE, FRESH) == wanted


@pytest.mark.parametrize("case", HELD)
def test_what_does_not_belong_together_holds_and_names_both(case: str) -> None:
    folder, redis = HELD[case]
    verdict = identify(folder, redis, HERE, FRESH)
    assert (verdict.act, verdict.id) == (Act.HOLD, "")
    assert {"/s", HERE} <= set(verdict.why.replace(",", "").split())
    assert ("11111111" in verdict.why) is bool(folder.id)
    assert (folder.place in verdict.why) is True
    if redis is not None:
        assert ("22222222" in verdict.why) is bool(redis.id)
    assert "prober adopt" in verdict.you


def test_whatever_stands_there_no_id_is_ever_used_that_neither_bears() -> None:
    """And a folder that knows flags never meets a Redis of another installation's flags."""
    folders = (NEW, OLD, OLD_ELSEWHERE, OLD_NOWHERE, KNOWN, KNOWN_ELSEWHERE, BARE, BARE_ELSEWHERE)
    shown = (None, EMPTY, UNNAMED, OUR_REDIS, OUR_EMPTY, THEIR_REDIS, THEIR_EMPTY)
    for folder in folders:
        for redis in shown:
            verdict = identify(folder, redis, HERE, FRESH)
            borne = {folder.id, redis.id if redis else ""}
            if verdict.act is Act.USE:
                assert verdict.id in borne - {""}
            if verdict.act is Act.CLAIM:
                assert verdict.id in {folder.id, FRESH}
                assert redis is not None
                assert verdict.instead_of == redis.id
                assert not (redis.id and redis.holds), "flags of others are never renamed"
            if folder.id and folder.holds and redis == THEIR_REDIS:
                assert verdict.act is Act.HOLD


@pytest.mark.parametrize(
    ("url", "namespace", "place"),
    [
        ("", "prober", "the embedded Redis"),
        ("", "blue", "the embedded Redis, namespace blue"),
        ("redis://Cache.example", "prober", "cache.example:6379/0"),
        ("rediss://u:p%2F@cache.example:6380/2", "blue", "cache.example:6380/2, namespace blue"),
        ("redis://[::1]/1", "prober", "[::1]:6379/1"),
        ("redis://h?db=3", "prober", "h:6379/3"),
        ("redis://:12/secret@h", "prober", ":12/0"),
        ("unix:///run/r.sock?password=p", "prober", "/run/r.sock db 0"),
        ("redis+sentinel://u:p@b,a:1/mymaster?db=1", "prober", "mymaster of a:1,b db 1"),
    ],
)
def test_a_place_names_where_the_flags_are_and_no_secret(
    url: str, namespace: str, place: str
) -> None:
    assert place_of(url, namespace) == place
