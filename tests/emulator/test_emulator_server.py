"""The emulator starts and ends cleanly, whatever is still in flight."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from blockbuster import blockbuster_ctx

from prober.emulator import play, running, started
from tests.emulator.emulator_wires import WIRES

BODY = WIRES["ollama"].body("m", "n0nce-42", True)


def post(url: str, timeout_s: float = 20) -> httpx.Response:
    with httpx.Client(trust_env=False, verify=False, timeout=timeout_s) as client:
        return client.post(f"{url}/api/chat", json=BODY)


@pytest.mark.parametrize("fault", ["hang_share", "stall_share"])
def test_it_ends_at_once_with_requests_in_flight(fault: str) -> None:
    with ThreadPoolExecutor() as pool:
        with started() as emulator:
            emulator.set_faults(**{fault: 1})
            asked = [pool.submit(post, emulator.url) for _ in range(3)]
            while emulator.requests().total < 3:
                time.sleep(0.001)
            ending = time.monotonic()
        # One second is the promise; a loaded machine may double it.
        assert time.monotonic() - ending < 2
        for one in asked:
            assert isinstance(one.exception(), httpx.RemoteProtocolError | httpx.ReadError)
    assert "emulator" not in [thread.name for thread in threading.enumerate()]


def test_it_ends_with_an_endless_answer_that_nobody_reads() -> None:
    with started() as emulator, httpx.Client(trust_env=False, verify=False) as client:
        emulator.set_faults(huge_bytes=2**30)
        request = client.build_request("POST", f"{emulator.url}/api/chat", json=BODY)
        response = client.send(request, stream=True)
    response.close()


def test_a_client_that_leaves_is_not_waited_for() -> None:
    with started() as emulator:
        emulator.set_faults(hang_share=1)
        for _ in range(5):
            with pytest.raises(httpx.ReadTimeout):
                post(emulator.url, timeout_s=0.05)
        emulator.reset()
        assert post(emulator.url).status_code == 200


@pytest.mark.parametrize("fault", ["hang_share", "stall_share"])
def test_silence_has_an_end(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    monkeypatch.setattr(play, "MAX_SILENCE_S", 0.01)
    with started() as emulator:
        emulator.set_faults(**{fault: 1})
        if fault == "hang_share":
            with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
                post(emulator.url)
        else:
            assert post(emulator.url).content.count(b"\n") == 1


def test_a_port_in_use_is_one_clear_line() -> None:
    with started() as emulator, pytest.raises(OSError, match="choose another") as refused:
        started(emulator.port).__enter__()
    assert str(refused.value) == (
        f"cannot listen on 127.0.0.1 port {emulator.port}: Address already in use; "
        "choose another port, or 0 for any free one"
    )


def test_the_port_is_free_again_when_it_has_ended() -> None:
    with started() as first:
        post(first.url)
    with started(first.port) as second:
        assert second.url == first.url
        assert post(second.url).status_code == 200


def test_two_emulators_know_nothing_of_each_other() -> None:
    with started() as first, started() as second:
        first.set_faults(error_share=1)
        assert post(first.url).status_code == 503
        assert post(second.url).status_code == 200
        assert (first.requests().total, second.requests().total) == (1, 1)


async def test_the_event_loop_of_a_test_is_never_blocked() -> None:
    client = httpx.AsyncClient(trust_env=False, verify=False)
    with blockbuster_ctx():
        async with running() as emulator:
            emulator.set_faults("ollama", error_share=0.5, even=True)
            url = f"{emulator.url}/api/chat"
            answers = await asyncio.gather(*(client.post(url, json=BODY) for _ in range(10)))
            assert emulator.requests().total == 10
            emulator.reset()
    await client.aclose()
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [503] * 5


def test_a_connection_without_a_request_harms_nobody() -> None:
    with started() as emulator:
        with socket.create_connection(("127.0.0.1", emulator.port)) as raw:
            raw.sendall(b"\x16\x03\x01 not http\r\n\r\n")
            assert b"400" in raw.recv(100)
        assert post(emulator.url).status_code == 200


def test_in_the_foreground_it_tells_its_address_and_ends_on_interrupt() -> None:
    code = "from prober.emulator import run; run(0, announce=lambda url: print(url, flush=True))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert post(url).status_code == 200
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")


def test_importing_it_prints_nothing_and_loads_nothing_else_of_the_project() -> None:
    code = (
        "import sys, prober.emulator; "
        "print([name for name in sys.modules if name.startswith(('prober.', 'switch'))"
        " and not name.startswith('prober.emulator')])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ},
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
