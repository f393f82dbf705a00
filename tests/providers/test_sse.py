"""Server-Sent Events and lines, split anywhere."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.providers.adapter import Ndjson
from prober.providers.events import MAX_LINE_BYTES, Lines, TooLargeError
from prober.providers.sse import Message, Messages
from tests.support.values import STEADY


def messages(*chunks: bytes) -> list[Message]:
    reader = Messages()
    return [m for chunk in chunks for m in reader.feed(chunk)] + list(reader.close())


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_kind_of_line_end_is_one(end: bytes) -> None:
    text = end.join([b"event: ping", b"data: one", b"", b"data: two", b"", b""])
    assert messages(text) == [Message("ping", b"one"), Message("", b"two")]


def test_several_data_lines_are_joined() -> None:
    assert messages(b"data: a\ndata:b\ndata\n\n") == [Message("", b"a\nb\n")]


def test_comments_ids_and_retries_are_no_messages() -> None:
    assert messages(b": OPENROUTER PROCESSING\n\nid: 7\nretry: 10\n\n") == []


def test_an_event_without_data_is_no_message_and_names_no_later_one() -> None:
    assert messages(b"event: a\n\ndata: x\n\n") == [Message("", b"x")]


def test_lines_that_are_no_sse_come_as_one_bare_message() -> None:
    text = b'data: a\n\n{\n  "error": {}\n}\n\ndata: b\n\n'
    assert messages(text) == [
        Message("", b"a"),
        Message("", b'{\n  "error": {}\n}', bare=True),
        Message("", b"b"),
    ]


def test_only_one_space_after_the_colon_is_taken_off() -> None:
    assert messages(b"data:  x\n\n") == [Message("", b" x")]


def test_an_unfinished_end_is_still_read() -> None:
    assert messages(b"event: error\ndata: x") == [Message("error", b"x")]
    assert messages(b"{}") == [Message("", b"{}", bare=True)]
    assert messages(b"data: x\n") == [Message("", b"x")]


def test_a_broken_event_name_does_not_raise() -> None:
    assert messages(b"event: \xff\ndata: x\n\n") == [Message("\ufffd", b"x")]


PIECES = st.lists(
    st.sampled_from(
        [b"data: ", b"event: e", b":c", b"\n", b"\r", b"\r\n", b"\n\n", b"{", b"x", b"\xe2\x82"]
    ),
    max_size=30,
)


@STEADY
@given(PIECES, st.lists(st.integers(0, 200), max_size=8))
def test_messages_are_the_same_wherever_the_bytes_are_split(
    pieces: list[bytes], cuts: list[int]
) -> None:
    whole = b"".join(pieces)
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    chunks = [whole[a:b] for a, b in pairwise(places)]
    assert messages(*chunks) == messages(whole)
    assert messages(*(whole[i : i + 1] for i in range(len(whole)))) == messages(whole)


def test_every_line_of_ndjson_is_a_message_and_empty_ones_are_not() -> None:
    reader = Ndjson()
    found = list(reader.feed(b'{"a":1}\r\n\n  \n{"b"'))
    found += [*reader.feed(b":2}\n{}"), *reader.close(), *reader.close()]
    assert [message.data for message in found] == [b'{"a":1}', b'{"b":2}', b"{}"]


@pytest.mark.parametrize("cut", [1, 1000, 65_536, 10_000_000])
def test_a_line_of_ten_megabytes_is_refused_early(cut: int) -> None:
    lines = Lines()
    fed = 0
    chunk = b"x" * min(cut, 10_000_000)

    def feed_all() -> None:
        nonlocal fed
        while fed < 10_000_000:
            fed += len(chunk)
            lines.feed(chunk)

    with pytest.raises(TooLargeError, match="256 KiB"):
        feed_all()
    assert fed <= MAX_LINE_BYTES + len(chunk)


@pytest.mark.parametrize("before", [b"", b"short\n"])
def test_a_whole_line_past_the_bound_is_refused_too(before: bytes) -> None:
    Lines().feed(b"x" * MAX_LINE_BYTES + b"\n")
    with pytest.raises(TooLargeError):
        Lines().feed(before + b"x" * (MAX_LINE_BYTES + 1) + b"\n")


def test_endless_comments_are_kept_nowhere() -> None:
    reader = Messages()
    for _ in range(2_000):
        assert list(reader.feed(b": ping " + b"p" * 1000 + b"\n\n")) == []
    assert list(reader.feed(b"data: x\n\n")) == [Message("", b"x")]
