"""The contract's names and encodings, to the letter."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from switch.flag import (
    Candidate,
    Flag,
    Flip,
    Keys,
    MalformedFlagError,
    Mode,
    Op,
    Origin,
    Pin,
    decode_candidate,
    decode_candidates,
    decode_changed,
    decode_flag,
    decode_flip,
    decode_origin,
    decode_pin,
    encode_candidate,
    say_duration,
)

STATE = {
    "provider": "openai",
    "epoch": "1700000000000",
    "decision_id": "d2",
    "parent": "d1",
    "previous": "anthropic",
    "reason": "anthropic breached availability",
    "actor": "eu-1",
    "origin": "repair",
    "changed_at": "1700000000001",
    "checked_at": "1700000000002",
    "mode": "propose",
    "frozen": "1700000000003",
}
FLAG = Flag(
    route="chat",
    provider="openai",
    epoch=1_700_000_000_000,
    decision_id="d2",
    parent="d1",
    previous="anthropic",
    reason="anthropic breached availability",
    actor="eu-1",
    changed_at=1_700_000_000_001,
    checked_at=1_700_000_000_002,
    mode=Mode.PROPOSE,
    frozen_until=1_700_000_000_003,
    origin=Origin.REPAIR,
)


@pytest.mark.parametrize(
    "last", ["primary", "state", "pin", "candidates", "events", "changed", "lease", "reports"]
)
def test_keys_are_as_the_contract_writes_them(last: str) -> None:
    assert getattr(Keys("chat"), last) == "prober:{chat}:" + last
    assert getattr(Keys("my-route_2", "team-a"), last) == "team-a:{my-route_2}:" + last


@pytest.mark.parametrize(
    "name", ["", "Chat", "a b", "a{b", "a}b", "a:b", "chat\n", "é", "a.b", "x" * 65]
)
def test_a_name_that_could_move_the_cluster_slot_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"route .*use a-z, 0-9, - and _ only, at most 64"):
        Keys(name)
    with pytest.raises(ValueError, match=r"namespace .*use a-z"):
        Keys("chat", name)


def test_a_name_of_sixty_four_letters_is_fine() -> None:
    assert Keys("x" * 64).primary == "prober:{" + "x" * 64 + "}:primary"


# -- state -------------------------------------------------------------------------------------


def test_a_whole_state_is_decoded() -> None:
    assert decode_flag("chat", STATE) == FLAG


def test_the_least_state_is_decoded() -> None:
    least = {"provider": "openai", "epoch": "7", "decision_id": "d"}
    assert decode_flag("chat", least) == Flag("chat", "openai", 7, "d")
    empty = dict.fromkeys(STATE, "") | least
    assert decode_flag("chat", empty) == Flag("chat", "openai", 7, "d")


# -- origin ------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", Origin)
@pytest.mark.parametrize("actor", ["prober@eu-1", "drill of ann", "break-glass", "ann", ""])
@pytest.mark.parametrize("op", [None, *Op])
def test_an_origin_that_is_written_is_believed_whoever_signed(
    origin: Origin, actor: str, op: Op | None
) -> None:
    assert decode_origin(origin.value, actor, op) is origin


@pytest.mark.parametrize("said", [None, "", "a later version's"])
@pytest.mark.parametrize(
    ("op", "actor", "origin"),
    [
        (Op.AUTO, "prober@eu-1", Origin.AUTOMATIC),
        (Op.SEED, "prober@eu-1", Origin.SEED),
        (Op.REPAIR, "prober@eu-1", Origin.REPAIR),
        (Op.MANUAL, "break-glass", Origin.BREAK_GLASS),
        (Op.MANUAL, "drill of ann", Origin.DRILL),
        (Op.MANUAL, "ann@desk", Origin.OPERATOR),
        (Op.MANUAL, "prober@desk", Origin.OPERATOR),
        (Op.MANUAL, "", Origin.OPERATOR),
        (None, "prober@eu-1", Origin.AUTOMATIC),
        (None, "break-glass", Origin.BREAK_GLASS),
        (None, "drill of ann", Origin.DRILL),
        (None, "ann@desk", Origin.OPERATOR),
    ],
)
def test_a_record_from_before_the_field_is_told_apart_by_op_and_signature(
    said: str | None, op: Op | None, actor: str, origin: Origin
) -> None:
    assert decode_origin(said, actor, op) is origin


def test_only_what_no_person_asked_for_is_the_daemons() -> None:
    ours = {origin for origin in Origin if origin.by_daemon}
    assert ours == {Origin.AUTOMATIC, Origin.REPAIR, Origin.SEED}


@pytest.mark.parametrize("state", [{}, {"epoch": ""}, {"provider": "openai"}, {"mode": "auto"}])
def test_a_state_without_an_epoch_is_no_flag(state: dict[str, str]) -> None:
    assert decode_flag("chat", state) is None


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": "soon"},
        {"epoch": "1.7e+12"},
        {"epoch": "9" * 5000},
        {"changed_at": "yesterday"},
        {"checked_at": "1.5"},
        {"frozen": "yes"},
        {"mode": "manual"},
        {"provider": ""},
        {"provider": "Open AI"},
        {"provider": "openai\n"},
        {"provider": "x" * 65},
        {"provider": "\ufffd"},
    ],
)
def test_a_malformed_state_is_refused_and_the_route_named(change: dict[str, str]) -> None:
    with pytest.raises(MalformedFlagError, match="state of route 'chat'"):
        decode_flag("chat", STATE | change)


@pytest.mark.parametrize("missing", ["provider", "decision_id"])
def test_a_state_without_its_essentials_is_refused(missing: str) -> None:
    with pytest.raises(MalformedFlagError, match=missing):
        decode_flag("chat", {key: text for key, text in STATE.items() if key != missing})


# -- pin ---------------------------------------------------------------------------------------


def test_a_pin_is_decoded() -> None:
    said = {"provider": "a", "owner": "ada", "reason": "why", "until_ms": "5", "epoch": "4"}
    assert decode_pin(said) == Pin("a", "ada", "why", 5, 4)
    assert decode_pin({"provider": "a", "until_ms": "5", "epoch": ""}) == Pin("a", "", "", 5)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"provider": "a"},
        {"until_ms": "5"},
        {"provider": "a", "until_ms": "never"},
        {"provider": "a", "until_ms": "5", "epoch": "x"},
    ],
)
def test_an_unreadable_pin_is_no_pin(said: dict[str, str]) -> None:
    assert decode_pin(said) is None


@pytest.mark.parametrize(("now_ms", "live"), [(4, True), (5, False), (6, False)])
def test_a_pin_ends_at_its_moment(now_ms: int, live: bool) -> None:
    assert Pin("a", "ada", "", until_ms=5).live(now_ms) is live


# -- events ------------------------------------------------------------------------------------

EVENT = {
    "op": "auto",
    "epoch": "8",
    "decision_id": "d2",
    "parent": "d1",
    "from": "a",
    "to": "b",
    "reason": "why",
    "evidence": '{"bad":9}',
    "actor": "eu-1",
    "origin": "automatic",
    "at_ms": "7",
    "pin": "keep",
}
FLIP = Flip("chat", Op.AUTO, 8, "d2", "d1", "a", "b", "why", "eu-1", 7, {"bad": 9},
            origin=Origin.AUTOMATIC)  # fmt: skip


def test_an_event_is_decoded() -> None:
    assert decode_flip("chat", EVENT) == FLIP


def test_the_pin_of_an_event_is_decoded() -> None:
    pin = {"pin": "set", "pin_owner": "ada", "pin_reason": "why", "pin_until_ms": "99"}
    found = decode_flip("chat", EVENT | pin)
    assert found == replace(FLIP, pin=Pin("b", "ada", "why", 99, 8))
    assert decode_flip("chat", EVENT | {"pin": "clear"}) == replace(FLIP, pin_cleared=True)


@pytest.mark.parametrize("evidence", ["", "{", "[1]", "null", "7", "[" * 100_000])
def test_unreadable_evidence_does_not_cost_the_event(evidence: str) -> None:
    assert decode_flip("chat", EVENT | {"evidence": evidence}) == replace(FLIP, evidence={})


@pytest.mark.parametrize("change", [{"op": "guess"}, {"epoch": "x"}, {"at_ms": ""}, {"pin": "set"}])
def test_a_malformed_event_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(MalformedFlagError, match="an event of route 'chat'"):
        decode_flip("chat", EVENT | change)


@pytest.mark.parametrize("missing", ["op", "epoch", "decision_id", "to", "at_ms"])
def test_an_event_without_its_essentials_is_refused(missing: str) -> None:
    with pytest.raises(MalformedFlagError, match=missing):
        decode_flip("chat", {key: text for key, text in EVENT.items() if key != missing})


@pytest.mark.parametrize(
    ("op", "to", "moved", "automatic"),
    [
        (Op.AUTO, "b", True, True),
        (Op.AUTO, "a", False, False),
        (Op.MANUAL, "b", True, False),
        (Op.MANUAL, "a", False, False),
        (Op.SEED, "b", True, False),
        (Op.REPAIR, "b", True, False),
    ],
)
def test_only_an_automatic_call_that_moved_is_an_automatic_flip(
    op: Op, to: str, moved: bool, automatic: bool
) -> None:
    flip = replace(FLIP, op=op, to_provider=to)
    assert (flip.moved, flip.automatic) == (moved, automatic)


# -- candidates --------------------------------------------------------------------------------

CANDIDATE = Candidate("a", "anthropic", "anthropic", "m-1", "https://a.example", ("us", "eu"),
                      False, "breached")  # fmt: skip


@pytest.mark.parametrize("candidate", [CANDIDATE, Candidate("b", "openai", "v", "m", "u")])
def test_a_candidate_survives_encoding(candidate: Candidate) -> None:
    assert decode_candidate(candidate.name, encode_candidate(candidate)) == candidate


def test_a_candidate_is_encoded_to_the_letter() -> None:
    assert encode_candidate(CANDIDATE) == (
        '{"api":"anthropic","vendor":"anthropic","model":"m-1","base_url":"https://a.example",'
        '"residency":["us","eu"],"eligible":false,"why_not":"breached","order":0}'
    )


def test_candidates_come_in_the_routes_order_whatever_the_hash_says() -> None:
    said = {
        name: encode_candidate(replace(CANDIDATE, name=name, order=order))
        for name, order in (("a", 2), ("b", 0), ("c", 1), ("Bad name", 0))
    }
    assert [c.name for c in decode_candidates(said | {"torn": "{"})] == ["b", "c", "a"]


def test_a_candidate_of_an_older_daemon_has_no_place_and_is_still_read() -> None:
    said = json.loads(encode_candidate(CANDIDATE))
    del said["order"]
    found = decode_candidate("a", json.dumps(said))
    assert found is not None
    assert found.order == 0


@pytest.mark.parametrize("order", ["x", None, [], 1e999])
def test_a_candidate_in_no_place_is_none(order: object) -> None:
    said = json.loads(encode_candidate(CANDIDATE)) | {"order": order}
    assert decode_candidate("a", json.dumps(said)) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"a"', "{}", "[" * 100_000])
def test_an_unreadable_candidate_is_none(text: str) -> None:
    assert decode_candidate("a", text) is None


@pytest.mark.parametrize(
    "missing", ["api", "vendor", "model", "base_url", "residency", "eligible", "why_not"]
)
def test_a_candidate_without_a_part_is_none(missing: str) -> None:
    said = json.loads(encode_candidate(CANDIDATE))
    del said[missing]
    assert decode_candidate("a", json.dumps(said)) is None


@pytest.mark.parametrize("residency", [None, 5, True])
def test_a_candidate_whose_residency_is_no_list_is_none(residency: object) -> None:
    said = json.loads(encode_candidate(CANDIDATE)) | {"residency": residency}
    assert decode_candidate("a", json.dumps(said)) is None


# -- messages ----------------------------------------------------------------------------------


def test_a_message_is_decoded() -> None:
    message = '{"provider":"a","epoch":1700000000000,"decision_id":"d","later":"more"}'
    assert decode_changed(message) == ("a", 1_700_000_000_000, "d")


@pytest.mark.parametrize(
    "message",
    [
        "",
        "a",
        "{",
        "[]",
        "null",
        "{}",
        '{"epoch":1,"decision_id":"d"}',
        '{"provider":"a","decision_id":"d"}',
        '{"provider":"a","epoch":1}',
        '{"provider":"A","epoch":1,"decision_id":"d"}',
        '{"provider":"","epoch":1,"decision_id":"d"}',
        '{"provider":7,"epoch":1,"decision_id":"d"}',
        '{"provider":"a","epoch":"1","decision_id":"d"}',
        '{"provider":"a","epoch":1.0,"decision_id":"d"}',
        '{"provider":"a","epoch":1e3,"decision_id":"d"}',
        '{"provider":"a","epoch":true,"decision_id":"d"}',
        '{"provider":"a","epoch":null,"decision_id":"d"}',
        '{"provider":"a","epoch":NaN,"decision_id":"d"}',
        '{"provider":"a","epoch":1,"decision_id":2}',
        '{"provider":"a","epoch":' + "9" * 5000 + ',"decision_id":"d"}',
        "[" * 100_000,
    ],
)
def test_a_forged_or_torn_message_is_ignored(message: str) -> None:
    assert decode_changed(message) is None


# -- durations ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (0.04, "40 ms"),
        (0.9, "0.9 s"),
        (1, "1 s"),
        (9.94, "9.9 s"),
        (9.95, "10 s"),
        (61, "61 s"),
        (119.4, "119 s"),
        (120, "2 min"),
        (600, "10 min"),
        (7199, "120 min"),
        (7200, "2 h"),
        (10_800, "3 h"),
        (172_799, "48 h"),
        (172_800, "2 d"),
        (900_000, "10 d"),
    ],
)
def test_a_duration_reads_as_people_say_it(seconds: float, said: str) -> None:
    assert say_duration(seconds) == said
