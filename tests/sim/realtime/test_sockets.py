"""Who may reach a run over the network: nobody but this machine."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.realtime.test_process import REPO, Running, moving
from tests.waiting import until

pytestmark = [pytest.mark.realtime, pytest.mark.timeout(200)]

LISTENS = "0A"  # a TCP socket's state in /proc/net/tcp
HERE = {"0100007F", "00000000000000000000000001000000"}  # 127.0.0.1 and ::1, as /proc/net writes them


def family(pid: int) -> set[int]:
    """Return a process and all that it has started."""
    children = Path(f"/proc/{pid}/task")
    found = {pid}
    for file in children.glob("*/children"):
        for child in file.read_text().split():
            found |= family(int(child))
    return found


def open_doors(pids: set[int]) -> list[str]:
    """Return the addresses, in hexadecimal, at which these processes take TCP connections or datagrams."""
    inodes = {
        found[1]
        for pid in pids
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if link.is_symlink() and (found := re.fullmatch(r"socket:\[(\d+)\]", str(link.readlink())))
    }
    doors: list[str] = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        file = Path("/proc/net", table)
        for line in file.read_text().splitlines()[1:] if file.exists() else ():
            parts = line.split()
            if parts[9] in inodes and (table.startswith("udp") or parts[3] == LISTENS):
                doors.append(parts[1])
    return doors


def test_an_open_door_is_found():
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        for each in (tcp, udp):
            each.bind(("0.0.0.0", 0))
        tcp.listen()
        doors = open_doors({os.getpid()})
        for each in (tcp, udp):
            assert f"00000000:{each.getsockname()[1]:04X}" in doors


def test_no_process_of_a_run_listens_beyond_this_machine(tmp_path: Path):
    runs = tmp_path / "runs"
    command = [sys.executable, "-m", "edge.cli", "run", "--robot", "sim", "--goal", "find_object"]
    command += ["--target", "red cup", "--bundle", "default", "--max-seconds", "60", "--runs-dir", str(runs)]
    child = subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        drive = Running(child, runs)
        until(lambda: child.poll() is not None or any(map(moving, drive.setpoints())), 60)
        assert child.returncode is None, child.communicate()
        pids = family(child.pid) | set(drive.pids.values())
        doors = open_doors(pids)
    finally:
        child.terminate()
        child.communicate(timeout=30)
    assert len(pids) >= 3  # the runtime, the motors, the room
    assert doors  # that of the stop server
    assert {door.partition(":")[0] for door in doors} <= HERE, doors
