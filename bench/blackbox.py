"""CPU time of `probe()` beside prometheus-blackbox-exporter (Go) sending the same POST.

Against: the CPU time of the exporter's whole process for one probe, its answer to /probe
included, from /proc/PID/stat. It opens a connection each time and does not read the stream's
events; this row is for orientation and has no target.

The exporter is the installed one, or else the Debian package, downloaded by apt-get and unpacked
beside this interpreter: nothing is installed, so no service starts.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from bench import canaries
from bench.row import Row, SkippedError
from bench.servers import emulator, exporter
from prober.clock import Clock
from prober.probing.network import Network

if TYPE_CHECKING:
    from prober.probing.plans import Plan

NAME = "prometheus-blackbox-exporter"
API = "anthropic"
BATCHES = 12
BATCH = 50
DOWNLOAD_S = 60


def measure() -> list[Row]:
    binary = _binary()
    with emulator(ttft_s=0, tokens_pause_s=0) as url:
        plan = canaries.plan(API, url)
        with exporter(binary, _config(plan)) as (exporter_url, pid):
            return [asyncio.run(_row(plan, exporter_url, pid))]


async def _row(plan: Plan, exporter_url: str, pid: int) -> Row:
    clock, own_s = Clock(), 0.0
    asked = {"module": "canary", "target": canaries.request(plan).url}
    async with (
        Network() as network,
        httpx.AsyncClient(base_url=exporter_url, trust_env=False) as scraper,
    ):

        async def scrape() -> None:
            said = await scraper.get("/probe", params=asked)
            if "\nprobe_success 1" not in said.text:
                raise RuntimeError(f"the exporter's probe failed: {said.text[-300:]}")

        for _ in range(BATCH):
            await canaries.canary(plan, network, clock)
            await scrape()
        # Its ticks are coarse (10 ms): one reading before all batches, one after.
        before_s = _cpu_s(pid)
        for _ in range(BATCHES):
            began_s = time.process_time()
            for _ in range(BATCH):
                await canaries.canary(plan, network, clock)
            own_s += time.process_time() - began_s
            for _ in range(BATCH):
                await scrape()
        theirs_s = _cpu_s(pid) - before_s
    each_ms = 1e3 / (BATCHES * BATCH)
    return Row(f"probe, CPU ({API})", "blackbox exporter", "ms", own_s * each_ms,
               theirs_s * each_ms)  # fmt: skip


def _config(plan: Plan) -> str:
    request = canaries.request(plan)
    module = {
        "prober": "http",
        "timeout": "5s",
        "http": {
            "method": request.method,
            "headers": request.headers,
            "body": request.body.decode(),
            "preferred_ip_protocol": "ip4",
        },
    }
    # JSON is YAML.
    return json.dumps({"modules": {"canary": module}})


def _cpu_s(pid: int) -> float:
    """User and system time of all its threads so far."""
    # The name in parentheses may hold spaces.
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _binary() -> Path:
    """Raises SkippedError where there is none and none can be had."""
    if not Path("/proc/self/stat").exists():
        raise SkippedError("this system has no /proc to read another process's CPU time from")
    if installed := shutil.which(NAME):
        return Path(installed)
    kept = Path(sys.prefix) / "share" / "bench" / NAME
    if not kept.exists():
        _download(kept)
    return kept


def _download(kept: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise SkippedError(f"{NAME} is not installed, and there is no apt-get to fetch it")
    try:
        with tempfile.TemporaryDirectory() as folder:
            _quietly("apt-get", "download", NAME, folder=folder)
            package = next(Path(folder).glob("*.deb"))
            _quietly("dpkg-deb", "-x", str(package), "unpacked", folder=folder)
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(Path(folder) / "unpacked" / "usr" / "bin" / NAME, kept)
    except (OSError, StopIteration, subprocess.SubprocessError) as error:
        raise SkippedError(
            f"{NAME} is not installed, and fetching it failed ({type(error).__name__}); "
            f"try: apt-get update && apt-get download {NAME}"
        ) from error


def _quietly(*command: str, folder: str) -> None:
    subprocess.run(
        command, cwd=folder, check=True, timeout=DOWNLOAD_S, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
