"""The tape of a raw exchange."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from prober.config.redact import Scrubber
from prober.probing.capture import MAX_BYTES, Capture, save
from prober.providers.events import HttpRequest

KEY = "sk-very-secret-0123456789"
SCRUB = Scrubber([KEY])


def test_the_exchange_is_written_in_its_order_with_times() -> None:
    request = HttpRequest(
        "POST", "http://h/v1", {"x-a": "1", "authorization": "Bearer x"}, b'{"a": 1}'
    )
    tape = Capture(request, "HTTP/1.1 200 OK", {"x-b": "2"})
    tape.chunk(0.25, b"data: 1\n\n")
    tape.chunk(0.5, b"data: 2\n\n")
    assert tape.text(SCRUB) == (
        '> POST http://h/v1\n> x-a: 1\n> authorization: ***\n\n{"a": 1}\n\n'
        "< HTTP/1.1 200 OK\n< x-b: 2\n\n"
        "# 0.250 s, 9 bytes\ndata: 1\n\n\n# 0.500 s, 9 bytes\ndata: 2\n\n\n"
    )


@pytest.mark.parametrize("size", [1, 2, 5, 7, 24, 25, 26, 1000])
def test_a_secret_cut_by_the_network_is_taken_out_all_the_same(size: int) -> None:
    tape = Capture(status="HTTP/1.1 401 No")
    said = f"first {KEY} then {KEY}{KEY} end".encode()
    for at in range(0, len(said), size):
        tape.chunk(at / 1000, said[at : at + size])
    text = tape.text(SCRUB)
    assert KEY[:10] not in text
    assert KEY[-10:] not in "".join(text.split())
    assert text.count("***") >= 3
    assert f"{len(said)} bytes" in text or "# 0.000 s" in text


def test_what_is_no_secret_is_not_joined() -> None:
    tape = Capture()
    for at in range(4):
        tape.chunk(float(at), b"data")
    assert tape.text(SCRUB).count("4 bytes") == 4


def test_a_secret_is_taken_out_of_url_headers_and_status() -> None:
    request = HttpRequest(
        "POST", f"http://h/{KEY}", {f"x-{KEY}": "1", "x-q": f"a {KEY}"}, KEY.encode()
    )
    tape = Capture(request, f"HTTP/1.1 401 {KEY}", {"location": f"http://h/?k={KEY}"})
    assert KEY not in tape.text(SCRUB)


@pytest.mark.parametrize(
    "name",
    ["Authorization", "X-API-Key", "x-goog-api-key", "x-amz-security-token", "set-cookie",
     "Helicone-Auth", "cf-access-client-secret", "ocp-apim-subscription-key"],
)  # fmt: skip
def test_headers_that_are_credentials_are_hidden_known_or_not(name: str) -> None:
    assert "unknown" not in Capture(status="x", headers={name: "unknown"}).text(str)


def test_nothing_in_it_obeys_a_terminal() -> None:
    tape = Capture(status="HTTP/1.1 200 \x1b[31m", headers={"x": "\x1b]0;title\x07"})
    tape.chunk(0.0, b"\x1b[2J\x00\xff ok \xc3\xa4")
    text = tape.text(str)
    assert not set(text) & {"\x1b", "\x07", "\x00"}
    assert "\\x1b[2J\\x00\\xff ok ä" in text


def test_a_tape_has_an_end_and_says_what_it_left_out() -> None:
    tape = Capture()
    tape.chunk(0.0, b"x" * (MAX_BYTES - 5))
    tape.chunk(1.0, b"y" * 10)
    tape.chunk(2.0, b"z" * 10)
    text = tape.text(str)
    assert ("yyyyy" in text, "yyyyyy" in text, "z" in text.replace("# cut", "")) == (
        True,
        False,
        False,
    )
    assert "# cut here: 15 bytes more" in text


def test_a_saved_file_is_new_and_its_owner_s(tmp_path: Path) -> None:
    save(tmp_path / "x", "text")
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("x", "link"):
        with pytest.raises(FileExistsError):
            save(tmp_path / name, "other")
    assert (tmp_path / "x").read_text() == "text"
    assert not (tmp_path / "elsewhere").exists()
