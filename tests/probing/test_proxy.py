"""Which proxy a request goes through: curl's rules, and what is refused. Tables, no sockets."""

from __future__ import annotations

import pytest

from prober.probing.proxy import named_proxies, proxy_for, proxy_problems, proxy_warnings

P, Q = "http://p.example:3128", "http://q.example:3128"


@pytest.mark.parametrize(
    ("environment", "plain", "tls"),
    [
        ({}, None, None),
        ({"http_proxy": P}, P, None),
        ({"https_proxy": P}, None, P),
        ({"HTTPS_PROXY": P}, None, P),
        ({"HTTPS_PROXY": P, "https_proxy": Q}, None, Q),
        ({"HTTP_PROXY": P}, None, None),  # in a CGI script, a header of whoever calls
        ({"all_proxy": P}, P, P),
        ({"ALL_PROXY": P}, P, P),
        ({"ALL_PROXY": P, "all_proxy": Q}, Q, Q),
        ({"ALL_PROXY": P, "http_proxy": Q}, Q, P),
        ({"http_proxy": "", "all_proxy": P}, P, P),
        ({"http_proxy": "p.example:3128"}, P, None),
        ({"ftp_proxy": P, "socks_proxy": P}, None, None),
    ],
)
def test_the_variables_count_as_curl_counts_them(
    environment: dict[str, str], plain: str | None, tls: str | None
) -> None:
    assert proxy_for("http://a.example/x", environment) == plain
    assert proxy_for("https://a.example/x", environment) == tls


# Each but the last group was compared with curl 7.88.
STRAIGHT = [
    ("a.example", "a.example"),
    ("A.Example", "a.EXAMPLE"),
    ("sub.a.example", "a.example"),
    ("sub.a.example", ".a.example"),
    ("a.example", ".a.example"),
    ("a.example.", "a.example"),
    ("a.example", "a.example."),
    ("a.example", "example"),
    ("a.example", "*"),
    ("localhost", "b.example, localhost"),
    ("localhost", "b.example localhost"),
    ("127.0.0.1", "127.0.0.1"),
    ("127.9.9.9", "127.0.0.0/8"),
    ("10.1.2.3", "10.1.2.0/30"),
    ("[::1]", "::1"),
    ("[fd00::5]", "fd00::/8"),
    # beyond curl
    ("[::1]", "localhost,[::1]"),
    ("[fd00::5]", "[fd00::]/8"),
    ("a.corp.example", "*.corp.example"),
    ("a.example", "b.example,*"),
    ("a.example:8443", "a.example:8443"),
    ("a.example", "a.example:80"),
    ("[::1]:9", "[::1]:9"),
    ("10.1.2.3:9", "10.0.0.0/8:9"),
]
THROUGH = [
    ("nota.example", "a.example"),
    ("a.example", "sub.a.example"),
    ("a.example", "ample"),
    ("a.example", ""),
    ("a.example", " , ,"),
    ("10.1.2.3", "127.0.0.0/8"),
    ("10.1.2.4", "10.1.2.0/30"),
    ("10.1.2.3", "3"),
    ("[::1]", "127.0.0.1"),
    ("127.0.0.1", "::/0"),
    ("a.example", "0.0.0.0/0"),
    ("corp.example.org", "*.corp.example"),
    ("a.example", "a.example:81"),
    ("a.example", "a.example:http"),
    ("a.example", "a*.example"),
    ("a.example", "*."),
]


@pytest.mark.parametrize(("host", "no_proxy"), STRAIGHT)
def test_whoever_no_proxy_covers_is_gone_to_straight(host: str, no_proxy: str) -> None:
    assert proxy_for(f"http://{host}/x", {"http_proxy": P, "no_proxy": no_proxy}) is None


@pytest.mark.parametrize(("host", "no_proxy"), THROUGH)
def test_whoever_it_does_not_cover_is_gone_to_through_the_proxy(host: str, no_proxy: str) -> None:
    assert proxy_for(f"http://{host}/x", {"http_proxy": P, "no_proxy": no_proxy}) == P


def test_no_proxy_counts_in_lower_case_first() -> None:
    both = {"http_proxy": P, "no_proxy": "b.example", "NO_PROXY": "a.example"}
    assert proxy_for("http://a.example", both) == P
    assert proxy_for("http://a.example", both | {"no_proxy": ""}) is None


NOTHING_TO_USE = "is no proxy that can be used; write http://host:port, or unset it"


@pytest.mark.parametrize(
    ("environment", "problems"),
    [
        ({}, []),
        ({"http_proxy": P, "NO_PROXY": "localhost,[::1],127.0.0.0/8,*.corp.example,*"}, []),
        ({"http_proxy": "ftp://user:pass@h:9"}, [f"http_proxy {NOTHING_TO_USE}"]),
        ({"HTTPS_PROXY": "http://user:pa ss@h:9"}, [f"HTTPS_PROXY {NOTHING_TO_USE}"]),
        ({"ALL_PROXY": "http://h:99999"}, [f"ALL_PROXY {NOTHING_TO_USE}"]),
        ({"all_proxy": "http://"}, [f"all_proxy {NOTHING_TO_USE}"]),
        ({"all_proxy": "http://[::1"}, [f"all_proxy {NOTHING_TO_USE}"]),
        ({"HTTP_PROXY": "ftp://nobody.asks"}, []),
        (
            {"ALL_PROXY": "socks5://h:1080"},
            [
                "ALL_PROXY is a SOCKS proxy, which needs more: pip install socksio pysocks, "
                "or unset it"
            ],
        ),
        ({"NO_PROXY": "http://h,10.0.0.0/99"}, []),  # nothing goes through a proxy
        (
            {"http_proxy": P, "NO_PROXY": "http://h,10.0.0.0/99,a.example:http,a*.example,."},
            [
                'NO_PROXY = "…http://h…": write the host alone, without http://',
                'NO_PROXY = "…10.0.0.0/99…": is no network; write it like 10.0.0.0/8 or fd00::/8',
                'NO_PROXY = "…a.example:http…": its port must be a number from 1 to 65535',
                'NO_PROXY = "…a*.example…": a * may stand alone or before the first dot only, '
                "as in *.example.com",
                'NO_PROXY = "….…": names no host',
            ],
        ),
    ],
)
def test_what_cannot_be_gone_by_is_refused_in_a_line_each_without_a_password(
    environment: dict[str, str], problems: list[str]
) -> None:
    found = proxy_problems(environment, installed=lambda module: False)
    assert found == [f"[network]: {problem}" for problem in problems]


def test_a_socks_proxy_is_fine_where_its_parts_are_installed() -> None:
    assert proxy_problems({"ALL_PROXY": "socks5h://h:1080"}, installed=lambda module: True) == []


def test_a_variable_in_capitals_that_curl_does_not_read_is_warned_of() -> None:
    (line,) = proxy_warnings({"HTTP_PROXY": P})
    assert line.endswith("HTTP_PROXY is not read in capitals, as in curl; write http_proxy")
    assert proxy_warnings({"HTTP_PROXY": P, "http_proxy": Q}) == []
    assert proxy_warnings({"HTTP_PROXY": P, "ALL_PROXY": P}) == []
    assert proxy_warnings({}) == []


def test_every_proxy_is_scrubbed_gone_by_or_not() -> None:
    environment = {"HTTP_PROXY": P, "ftp_proxy": Q, "NO_PROXY": "a.example", "PATH": "/bin"}
    assert named_proxies(environment) == [P, Q]
