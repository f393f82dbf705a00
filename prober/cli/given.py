"""What a command at a shell may use of what systemd gave the daemon, or how to get it."""

from __future__ import annotations

import getpass
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from prober.config import last_good, systemd_unit
from prober.config.secrets import Given, SecretRef
from prober.config.systemd_unit import NOTHING, Handed, Unit
from prober.web.control_socket import NotRunningError, RefusedError, ask

# A daemon that answers does so in milliseconds; a frozen one must not hold up an emergency.
ASK_S = 1.0


def given(path: Path) -> Given:
    """This process's own environment first, then the running daemon's, then the unit's files."""
    service = systemd_unit.find(path, os.environ)
    files = systemd_unit.handed(service) if service else NOTHING
    environment = {**files.environment, **os.environ}
    daemon = _of_daemon(path, last_good.folder_of(path, environment))
    return Given(
        environment={**files.environment, **daemon.environment, **os.environ},
        credentials={**files.credentials, **daemon.credentials},
        advice=_Advice(service, files, path),
    )


def _of_daemon(path: Path, folder: Path) -> Handed:
    try:
        reply = ask(folder, "GET", "/handed", {"config": os.path.realpath(path)}, ASK_S)
    except (NotRunningError, RefusedError):
        return NOTHING
    return Handed(reply["environment"], reply["credentials"])


@dataclass(frozen=True)
class _Advice:
    """The one line that gives a command what it lacks."""

    service: Unit | None
    files: Handed
    path: Path

    def __call__(self, ref: SecretRef) -> str:
        if ref.file is not None:
            return ""
        service = self.service
        if service is None:
            return f", and no unit that runs the daemon on {self.path} was found; {_by_hand(ref)}"
        if self._may_hold(service, ref):
            return f"; {service.name} hands it over, but {_me()} may not read it; {_run(service)}"
        where = "LoadCredential= line" if ref.env is None else "environment file"
        files = ", ".join(map(str, service.environment_files))
        named = f" ({files})" if files and ref.env is not None else ""
        return f"; no {where} of {service.name}{named} gives it; {_by_hand(ref)}"

    def _may_hold(self, service: Unit, ref: SecretRef) -> bool:
        if ref.env is not None:
            return bool(set(self.files.closed) & set(service.environment_files))
        return service.gives_credential(ref.credential or "")


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.geteuid()}"


def _command() -> str:
    return shlex.join([os.path.abspath(sys.argv[0]), *sys.argv[1:]])


def _run(service: Unit) -> str:
    given = " ".join(f"-p {shlex.quote(line)}" for line in service.passing)
    asked = f"sudo systemd-run --quiet --pipe --wait --collect --uid={service.user} {given}"
    return f"run: {asked} {_command()}"


def _by_hand(ref: SecretRef) -> str:
    if ref.env is not None:
        return f"run: {ref.env}=… {_command()}"
    return f"run: CREDENTIALS_DIRECTORY=FOLDER {_command()}, with a file {ref.credential} in FOLDER"
