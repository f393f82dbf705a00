"""Which proxy a request goes through, by curl's rules. Pure: the environment is passed in.

`http_proxy` counts in lower case only (a CGI script's HTTP_PROXY is a header of its caller's);
`https_proxy`, `all_proxy` and `no_proxy` in lower case first, else in capitals; an empty one is
none. See curl's manual, ENVIRONMENT, and `Curl_check_noproxy`; networks since curl 7.86. Beyond
curl, no_proxy takes `*.example.com`, `[::1]`, `host:port` and a `*` among others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
SCHEMES = ("http", "https", "socks5", "socks5h")
# What httpx and requests need for a SOCKS proxy: the module, then what pip calls it.
SOCKS = {"socksio": "socksio", "socks": "pysocks"}


def proxy_for(url: str, environment: Mapping[str, str]) -> str | None:
    """The proxy's URL, with its scheme; None: straight there."""
    parts = urlsplit(url)
    configured = _configured(parts.scheme, environment)
    if configured is None or _straight(parts, environment):
        return None
    return configured[1]


def proxy_problems(
    environment: Mapping[str, str], installed: Callable[[str], bool] | None = None
) -> list[str]:
    """One line for each thing in the environment that cannot be gone by; without its value,
    which may hold a password. `installed`: whether a module can be imported."""
    used = {
        configured[0]: configured[1]
        for scheme in DEFAULT_PORTS
        if (configured := _configured(scheme, environment)) is not None
    }
    installed = installed or (lambda module: find_spec(module) is not None)
    problems = [
        f"[network]: {name} {why}"
        for name, proxy in used.items()
        if (why := _unusable(proxy, installed))
    ]
    if used:
        name, entries = _no_proxy(environment)
        problems += [
            f'[network]: {name} = "…{entry[:60]}…": {why}'
            for entry in entries
            if (why := _unreadable(entry))
        ]
    return problems


def proxy_warnings(environment: Mapping[str, str]) -> list[str]:
    """What somebody may have meant, and is not gone by."""
    unread = environment.get("HTTP_PROXY") and not environment.get("http_proxy")
    if not unread or _configured("http", environment):
        return []
    return ["[network]: HTTP_PROXY is not read in capitals, as in curl; write http_proxy"]


def named_proxies(environment: Mapping[str, str]) -> list[str]:
    """Every URL that stands there, gone by or not: each may hold a password."""
    return [
        value
        for name, value in environment.items()
        if name.lower().endswith("_proxy") and name.lower() != "no_proxy"
    ]


def _configured(scheme: str, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """(the variable's name, the proxy's URL) for a scheme."""
    names = [f"{scheme}_proxy"]
    if scheme != "http":
        names.append(f"{scheme.upper()}_PROXY")
    for name in (*names, "all_proxy", "ALL_PROXY"):
        if value := environment.get(name, "").strip():
            return name, value if "://" in value else f"http://{value}"
    return None


def _unusable(proxy: str, installed: Callable[[str], bool]) -> str:
    try:
        parts = urlsplit(proxy)
        sound = parts.hostname and parts.port != 0 and not any(c.isspace() for c in proxy)
    except ValueError:
        sound = False
    if not sound or parts.scheme not in SCHEMES:
        return "is no proxy that can be used; write http://host:port, or unset it"
    lacking = [name for module, name in SOCKS.items() if not installed(module)]
    if parts.scheme.startswith("socks") and lacking:
        return f"is a SOCKS proxy, which needs more: pip install {' '.join(lacking)}, or unset it"
    return ""


# -- who is gone to straight -----------------------------------------------------------------------


def _no_proxy(environment: Mapping[str, str]) -> tuple[str, list[str]]:
    """(the variable's name, its entries); they are parted by commas, blanks or both."""
    name = "no_proxy" if environment.get("no_proxy", "").strip() else "NO_PROXY"
    return name, environment.get(name, "").replace(",", " ").split()


def _straight(parts: SplitResult, environment: Mapping[str, str]) -> bool:
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    return bool(host) and any(_covers(entry, host, port) for entry in _no_proxy(environment)[1])


def _covers(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    name, wanted_port = _parted(entry) or ("", None)
    if wanted_port is not None and wanted_port != port:
        return False
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return _names(name, host)
    network = _network(name)
    return network is not None and address.version == network.version and address in network


def _names(entry: str, host: str) -> bool:
    """Whether an entry is the host's name, or ends it at a dot."""
    suffix = entry.removeprefix("*").strip(".").lower()
    return bool(suffix) and (host.lower() == suffix or host.lower().endswith(f".{suffix}"))


def _parted(entry: str) -> tuple[str, int | None] | None:
    """(host or network, port) of an entry; None where its port is none."""
    if entry.startswith("["):
        host, _, port = entry[1:].partition("]")
        if not port.startswith(":"):
            return host + port, None
        port = port[1:]
    else:
        host, colon, port = entry.partition(":")
        if not colon or ":" in port:  # an IPv6 address has several
            return entry, None
    legal = port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65_536
    return (host, int(port)) if legal else None


def _network(text: str) -> IPv4Network | IPv6Network | None:
    """An address is a network of one."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _unreadable(entry: str) -> str:
    """Why nothing can be covered by an entry; empty when something can."""
    if entry == "*":
        return ""
    if "://" in entry:
        return "write the host alone, without http://"
    parted = _parted(entry)
    if parted is None:
        return "its port must be a number from 1 to 65535"
    name = parted[0]
    if "/" in name or ":" in name:
        return "" if _network(name) else "is no network; write it like 10.0.0.0/8 or fd00::/8"
    if "*" in name.removeprefix("*."):
        return "a * may stand alone or before the first dot only, as in *.example.com"
    return "" if name.strip(".") else "names no host"
