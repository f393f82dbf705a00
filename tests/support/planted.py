"""Known keys, and a server that repeats each one it is given, for tests/test_secrets.py."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import quote


def core(name: str) -> str:
    """32 characters that stand nowhere by chance, with those that encoders rewrite."""
    digits = hashlib.sha256(name.encode()).hexdigest()
    return f"{digits[:15]}/{digits[15:22]}+{digits[22:30]}"


NAMES = (
    "refuse", "lengthy", "moved", "answer", "broken", "healthy", "gateway", "aws-secret",
    "aws-token", "hook", "dead-hook", "redis", "database", "heartbeat", "proxy",
)  # fmt: skip


def leaks(text: str) -> list[str]:
    """The secrets of which so much as twelve characters in a row stand in a text."""
    found = []
    for name in NAMES:
        secret = core(name)
        forms = {secret, quote(secret, safe=""), secret.replace("/", "\\/")}
        pieces = {piece for form in forms for piece in (form[:12], form[-12:], form[9:23])}
        found += [name] if any(piece in text for piece in pieces) else []
    return found


CREDENTIALS = ("authorization", "x-api-key", "x-gateway-token", "x-amz-security-token")


class Parrot(BaseHTTPRequestHandler):
    """Says every credential it is given, in the way that the first step of the path names."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        said = " ".join(
            value for name, value in self.headers.items() if name.lower() in CREDENTIALS
        )
        key = said.removeprefix("Bearer ").split(" ")[0]
        match self.path.split("/")[1]:
            case "refuse":
                message = f"Incorrect API key provided: {said}. Again: {said}"
                self._say(401, {"error": {"message": message, "code": "invalid_api_key"}}, key)
            case "lengthy":
                # Cut after 300 bytes, somewhere inside of one of them.
                self._write(500, ("x" * 37 + " " + f"{key}," * 20).encode(), key)
            case "moved":
                self._write(
                    302, b"", key, location=f"http://{quote(key, safe='')}@h.example/?k={key}"
                )
            case "answer":
                self._stream({"choices": [{"delta": {"content": f"The key is {key} {key} {key}"}}]})
            case "broken":
                self._stream({"error": {"message": f"escaped: {key}", "code": key}})
            case "aws":
                secret = core("aws-secret")
                message = {"message": f"The signature of {said} does not match {secret}"}
                self._say(403, message, key)

    def do_GET(self) -> None:
        self._write(500, self.path.encode(), "none")

    def _say(self, status: int, value: Any, key: str) -> None:
        # As PHP writes it, and then as it is.
        text = json.dumps(value).replace("/", "\\/") + "\n" + json.dumps(value)
        self._write(status, text.split("\n")[len(key) % 2].encode(), key)

    def _stream(self, value: Any) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        events = f"data: {json.dumps(value)}\n\ndata: [DONE]\n\n".encode()
        for at in range(0, len(events), 11):
            self.wfile.write(events[at : at + 11])
            self.wfile.flush()

    def _write(self, status: int, body: bytes, key: str, **headers: str) -> None:
        self.send_response(status)
        said = {"x-request-id": key, "x-echo": f"you sent {key}", "set-cookie": key, "via": key}
        for name, value in {**said, **headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Crowd(ThreadingHTTPServer):
    """The default of five waiting clients turns a busy machine's sixth away."""

    request_queue_size = 128


@contextmanager
def parrot() -> Iterator[str]:
    server = Crowd(("127.0.0.1", 0), Parrot)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


CONFIG = """
[daemon]
state_dir = "{folder}/state"
heartbeat = {{ env = "HEARTBEAT" }}
heartbeat_interval = "300ms"
[redis]
url = {{ env = "REDIS_URL" }}
[database]
url = {database}
[canary]
interval = "100ms"
suspect_interval = "50ms"
first_text_timeout = "2s"
timeout = "3s"
[[provider]]
name = "healthy"
api = "anthropic"
model = "m"
base_url = "{emulator}"
key = {{ env = "KEY_HEALTHY" }}
headers = {{ x-gateway-token = {{ env = "GATEWAY" }}, x-plain = "plain" }}
[[provider]]
name = "aws"
api = "bedrock"
model = "m"
region = "eu-central-1"
base_url = "{parrot}/aws"
{parrots}
[[route]]
name = "chat"
candidates = ["refuse", "healthy", "aws", "lengthy", "moved", "answer", "broken"]
[[alert]]
name = "oncall"
url = {{ env = "HOOK" }}
[[alert]]
name = "dead"
url = {{ env = "DEAD_HOOK" }}
"""

PARROT = """
[[provider]]
name = "{name}"
api = "openai"
preset = "vllm"
model = "m"
base_url = "{parrot}/{name}/v1"
key = {{ env = "KEY_{upper}" }}
headers = {{ x-gateway-token = {{ env = "GATEWAY" }} }}
"""
PARROTS = ("refuse", "lengthy", "moved", "answer", "broken")
