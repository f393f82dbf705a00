"""How other people's code that sends by `requests` goes out: our proxies, our certificates.

apprise's plugins call `requests.post`, Google's library takes a session. Neither asks us for a
proxy, and both would go by the environment in another way than canaries do.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.ssl_ import create_urllib3_context

from prober.probing.proxy import proxy_for


class Session(requests.Session):
    """A session that goes by `probing.proxy` and trusts `ca_file` besides the usual certificates.

    Nothing else is taken from the environment: no .netrc, no REQUESTS_CA_BUNDLE.
    """

    def __init__(self, ca_file: str = "", environment: Mapping[str, str] = os.environ) -> None:
        super().__init__()
        self.trust_env = False
        self._environment = environment
        if ca_file:
            self.mount("https://", _Trusting(trusting(ca_file)))

    def _proxies(self, url: str) -> dict[str, str]:
        proxy = proxy_for(url, self._environment)
        return {} if proxy is None else {urlsplit(url).scheme: proxy}

    def merge_environment_settings(self, url: Any, proxies: Any, *more: Any) -> dict[str, Any]:
        given = proxies or self._proxies(str(url))
        return dict(super().merge_environment_settings(url, given, *more))

    def rebuild_proxies(self, prepared_request: Any, proxies: Any) -> dict[str, str]:
        """A redirect may lead to a host that is gone to another way."""
        ours = self._proxies(str(prepared_request.url))
        return dict(super().rebuild_proxies(prepared_request, ours))


class _Trusting(HTTPAdapter):
    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def build_connection_pool_key_attributes(
        self, request: Any, verify: Any, cert: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        host, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        # Who asks for no verification gets none; a context of ours would insist.
        return host, {**tls, "ssl_context": self._context} if verify else tls

    def proxy_manager_for(self, proxy: Any, **more: Any) -> Any:
        return super().proxy_manager_for(proxy, proxy_ssl_context=self._context, **more)


def trusting(ca_file: str) -> ssl.SSLContext:
    """A context with `ca_file`, to which requests adds the usual certificates."""
    context = create_urllib3_context()
    context.load_verify_locations(cafile=str(Path(ca_file).expanduser()))
    return context


def install(ca_file: str) -> None:
    """From now on `requests.post` and its like, which open a session each, open one of ours.

    For the whole process: it has one environment and one ca_file. Code that makes a session of its
    own is not touched.
    """
    setattr(requests.sessions, "Session", partial(Session, ca_file))  # noqa: B010 -- a type to mypy
