"""Runs a command under what deploy/prober.service forbids, as far as this machine lets a test:

    python confined.py STATE COMMAND…

Everywhere: no new privileges, no core, a umask, and where Linux knows how, no memory that is
written and then run. With systemd-analyze and libseccomp: the unit's SystemCallFilter and
RestrictAddressFamilies, as systemd itself would set them. As root: an empty capability set, mounts
and IPC of its own, everything read-only but STATE, and other users' processes hidden.
It says what it has set, in one line, before the command speaks.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import resource
import shutil
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_MDWE = 24, 38, 65
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
CLONE_NEWNS, CLONE_NEWIPC = 0x00020000, 0x08000000
SCMP_ALLOW, SCMP_EPERM, SCMP_CMP_EQ = 0x7FFF0000, 0x00050001, 4
FAMILIES = (1, 2, 10)  # AF_UNIX AF_INET AF_INET6


def must(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), what)


def own_mounts(state: str) -> None:
    must(libc.unshare(CLONE_NEWNS | CLONE_NEWIPC), "unshare")
    must(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "private mounts")
    must(libc.mount(state.encode(), state.encode(), None, MS_BIND, None), "the state directory")
    must(libc.mount(b"none", b"/", None, MS_REMOUNT | MS_BIND | MS_RDONLY, None), "read-only /")
    must(libc.mount(b"proc", b"/proc", b"proc", 0, b"hidepid=invisible"), "/proc")


def drop_capabilities() -> None:
    number = 0
    while libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == 0:
        number += 1
    header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    must(libc.capset(header, nothing), "capset")


def known_sets() -> dict[str, set[str]]:
    """systemd's own sets of system calls: "@chown" -> its names, other sets among them."""
    command = ["systemd-analyze", "--no-pager", "syscall-filter"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, set[str]] = {}
    for line in said.splitlines():
        if line.startswith("@"):
            members = found.setdefault(line.strip(), set())
        elif line.startswith("    ") and line.strip()[0] not in "#":
            members.add(line.strip())
    return found


def expanded(known: dict[str, set[str]], *names: str) -> set[str]:
    found: set[str] = set()
    for name in names:
        members = known[name]
        found |= {m for m in members if m[0] != "@"}
        found |= expanded(known, *(m for m in members if m[0] == "@"))
    return found


def filter_of(allowed: list[str], forbidden: list[str]) -> ctypes.CDLL:
    seccomp = ctypes.CDLL(ctypes.util.find_library("seccomp"))
    seccomp.seccomp_init.restype = ctypes.c_void_p

    class Compare(ctypes.Structure):
        _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int),
                    ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))  # fmt: skip

    context = ctypes.c_void_p(seccomp.seccomp_init(SCMP_EPERM))
    known = known_sets()
    default = expanded(known, "@default")  # systemd always allows these
    for name in (expanded(known, *allowed) - expanded(known, *forbidden)) | default:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            continue  # of another architecture
        families = FAMILIES if name == "socket" else ()
        for family in families:
            rule = Compare(0, SCMP_CMP_EQ, family, 0)
            must(seccomp.seccomp_rule_add_array(
                context, SCMP_ALLOW, number, 1, ctypes.byref(rule)), name)  # fmt: skip
        if not families:
            must(seccomp.seccomp_rule_add_array(context, SCMP_ALLOW, number, 0, None), name)
    must(seccomp.seccomp_load(context), "seccomp_load")
    return seccomp


def main(state: str, command: list[str]) -> None:
    applied = ["no new privileges", "no core"]
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if os.geteuid() == 0:
        own_mounts(state)
        drop_capabilities()
        applied += ["own mounts", "read-only but the state", "hidden processes", "no capability"]
    must(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    if libc.prctl(PR_SET_MDWE, 1, 0, 0, 0) == 0:
        applied.append("no memory written and run")
    if shutil.which("systemd-analyze") and ctypes.util.find_library("seccomp"):
        filter_of(["@system-service"], ["@privileged", "@resources"])
        applied.append("system calls and address families filtered")
    sys.stderr.write(f"confined: {', '.join(applied)}\n")
    sys.stderr.flush()
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
