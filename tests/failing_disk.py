"""A disk that fails or stalls when a test wants it: a file system in memory that a process of its own serves.

It speaks FUSE's protocol (include/uapi/linux/fuse.h, 7.31) at /dev/fuse itself: nothing needs to be
installed, but only root can mount it. One request after the other is served: while a write is held up, so is
all else, as on a card that is busy with itself.
"""

import contextlib
import ctypes
import errno
import os
import select
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

MOST_WRITE = 1 << 20
BYTES = 1 << 30  # that the disk says are free
_IN, _OUT = struct.Struct("<IIQQIIIHH"), struct.Struct("<IiQ")
_ATTR = struct.Struct("<6Q10I")
_FOLDER, _FILE = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o644


class FailingDisk:
    """The test's end of a disk under way."""

    def __init__(self, folder: Path, server: "subprocess.Popen[bytes]") -> None:
        self.folder, self._server = folder, server

    def fail(self, request: str, error: int) -> None:
        """Let every "write" or "fsync" from now on fail by this errno; 0 heals it."""
        self._say(f"{request} {error}")

    def stall(self, seconds: float) -> None:
        """Let the next write or fsync wait so long, and all else behind it; then all goes on."""
        self._say(f"stall {seconds}")

    def _say(self, words: str) -> None:
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write(f"{words}\n".encode())
        self._server.stdin.flush()
        assert self._server.stdout.readline() == b"heard\n"


@contextlib.contextmanager
def failing_disk(folder: Path) -> Iterator[FailingDisk]:
    """Mount one at a new folder, which only root can; skip the test otherwise."""
    folder.mkdir()
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.failing_disk", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert server.stdout is not None
    try:
        if (said := server.stdout.readline()) != b"mounted\n":
            pytest.skip(f"nothing can be mounted by FUSE: {said.decode().strip()}")
        yield FailingDisk(folder, server)
    finally:
        server.kill()  # what still waits for the disk gets an error
        server.communicate()
        subprocess.run(["umount", "-l", folder], capture_output=True)


@dataclass
class Node:
    """A file or a folder in memory."""

    mode: int
    content: bytearray = field(default_factory=bytearray)
    names: dict[bytes, int] = field(default_factory=dict)
    changed_s: int = 0


class MemoryDisk:
    """Answers the requests of the kernel, with faults."""

    def __init__(self, link: int) -> None:
        self._link = link
        self._nodes = {1: Node(_FOLDER)}
        self._errors = {"write": 0, "fsync": 0}
        self._stall_s = 0.0
        self._answers: dict[int, Callable[[int, bytes], bytes]] = {
            1: self._lookup, 3: self._getattr, 4: self._setattr, 9: self._mkdir, 10: self._unlink,
            11: self._unlink, 12: lambda node, body: self._rename(node, body, 8), 14: self._open,
            15: self._read, 16: self._write, 17: self._statfs, 18: self._nothing, 20: self._fsync,
            25: self._nothing, 26: self._init, 27: self._open, 28: self._readdir, 29: self._nothing,
            30: self._nothing, 35: self._create, 45: lambda node, body: self._rename(node, body, 16),
        }  # fmt: skip

    def serve(self) -> None:
        """Answer until nobody has it mounted, or the test is gone."""
        ready = select.poll()
        ready.register(self._link, select.POLLIN)
        ready.register(0, select.POLLIN)
        while True:
            for number, _ in ready.poll():
                if number != 0:
                    self._answer(os.read(self._link, MOST_WRITE + 8192))
                elif words := os.read(0, 100):  # one line: the test waits for the answer
                    self._heed(*words.decode().split())
                else:
                    return

    def _heed(self, what: str, value: str) -> None:
        if what == "stall":
            self._stall_s = float(value)
        else:
            self._errors[what] = int(value)
        os.write(1, b"heard\n")

    def _answer(self, request: bytes) -> None:
        _, code, unique, node, *_ = _IN.unpack_from(request)
        if code in (2, 36, 42):  # forgets, and an interrupt, want no answer
            return
        answer, error = b"", errno.ENOSYS
        if code in self._answers:
            try:
                answer, error = self._answers[code](node, request[_IN.size :]), 0
            except KeyError:
                error = errno.ENOENT
            except OSError as raised:
                error = raised.errno or errno.EIO
        with contextlib.suppress(OSError):  # it was interrupted
            os.write(self._link, _OUT.pack(_OUT.size + len(answer), -error, unique) + answer)

    def _fault(self, request: str) -> None:
        if self._stall_s:
            seconds, self._stall_s = self._stall_s, 0.0
            time.sleep(seconds)
        if error := self._errors[request]:
            raise OSError(error, os.strerror(error))

    def _init(self, _: int, body: bytes) -> bytes:
        pages = 1 << 22  # FUSE_MAX_PAGES
        ahead = struct.unpack_from("<I", body, 8)[0]
        return struct.pack("<IIIIHHIIHH32x", 7, 31, ahead, pages | 1 << 5, 8, 6, MOST_WRITE, 1, 256, 0)

    def _attributes(self, number: int) -> bytes:
        node = self._nodes[number]
        size, now = len(node.content), node.changed_s
        return _ATTR.pack(
            number, size, -(-size // 512), now, now, now, 0, 0, 0, node.mode, 1, 0, 0, 0, 4096, 0
        )

    def _entry(self, number: int) -> bytes:
        return struct.pack("<4Q2I", number, 0, 0, 0, 0, 0) + self._attributes(number)

    def _getattr(self, number: int, _: bytes) -> bytes:
        return struct.pack("<QII", 0, 0, 0) + self._attributes(number)

    def _setattr(self, number: int, body: bytes) -> bytes:
        valid, _, _, size = struct.unpack_from("<IIQQ", body)
        content = self._nodes[number].content
        if valid & 8:
            content[size:] = bytes(max(0, size - len(content)))
        return self._getattr(number, body)

    def _lookup(self, folder: int, body: bytes) -> bytes:
        return self._entry(self._nodes[folder].names[body.rstrip(b"\0")])

    def _make(self, folder: int, name: bytes, mode: int) -> int:
        number = max(self._nodes) + 1
        self._nodes[number] = Node(mode, changed_s=int(time.time()))
        self._nodes[folder].names[name] = number
        return number

    def _mkdir(self, folder: int, body: bytes) -> bytes:
        return self._entry(self._make(folder, body[8:].rstrip(b"\0"), _FOLDER))

    def _create(self, folder: int, body: bytes) -> bytes:
        return self._entry(self._make(folder, body[16:].rstrip(b"\0"), _FILE)) + self._open(0, b"")

    def _unlink(self, folder: int, body: bytes) -> bytes:
        del self._nodes[folder].names[body.rstrip(b"\0")]  # an open file stays, as nothing is freed
        return b""

    def _rename(self, folder: int, body: bytes, head: int) -> bytes:
        old, new, _ = body[head:].split(b"\0", 2)
        to = struct.unpack_from("<Q", body)[0]
        self._nodes[to].names[new] = self._nodes[folder].names.pop(old)
        return b""

    def _open(self, _: int, __: bytes) -> bytes:
        return struct.pack("<QII", 0, 0, 0)

    def _read(self, number: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        return bytes(self._nodes[number].content[offset : offset + size])

    def _write(self, number: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        self._fault("write")
        node = self._nodes[number]
        node.content[offset : offset + size] = body[40 : 40 + size]
        node.changed_s = int(time.time())
        return struct.pack("<II", size, 0)

    def _fsync(self, _: int, __: bytes) -> bytes:
        self._fault("fsync")
        return b""

    def _statfs(self, _: int, __: bytes) -> bytes:
        blocks = BYTES // 4096
        return struct.pack("<5Q4I24x", blocks, blocks, blocks, 1000, 1000, 4096, 255, 4096, 0)

    def _readdir(self, number: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        out = b""
        for place, (name, node) in enumerate(list(self._nodes[number].names.items())[offset:], offset + 1):
            kind = self._nodes[node].mode >> 12
            entry = struct.pack("<QQII", node, place, len(name), kind) + name
            entry += bytes(-len(entry) % 8)
            if len(out) + len(entry) > size:
                break
            out += entry
        return out

    def _nothing(self, _: int, __: bytes) -> bytes:
        return b""


def main(folder: str) -> None:
    """Mount it, say so, and serve it."""
    try:
        link = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        print(f"/dev/fuse: {error.strerror}", flush=True)
        return
    options = f"fd={link},rootmode=40000,user_id=0,group_id=0,allow_other"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"failing", folder.encode(), b"fuse.failing", 0, options.encode()):
        print(os.strerror(ctypes.get_errno()), flush=True)
        return
    print("mounted", flush=True)
    MemoryDisk(link).serve()


if __name__ == "__main__":
    main(sys.argv[1])
