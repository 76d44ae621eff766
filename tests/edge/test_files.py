"""What is written appears whole or not at all, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.files import whole_file, whole_folder, write_whole
from tests.small_disk import small_files


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def full_disk():
    """The next file that grows beyond 1000 bytes fails, as on a full disk."""
    with small_files(1000):
        yield


@pytest.mark.parametrize("sync", [False, True])
def test_a_file_is_written_and_replaced(tmp_path: Path, sync: bool):
    for content, stored in ((b"\x00old", b"\x00old"), ("컵", "컵".encode())):
        write_whole(tmp_path / "file", content, sync=sync)
        assert (tmp_path / "file").read_bytes() == stored
    assert names(tmp_path) == ["file"]
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_leaves_the_old_file(tmp_path: Path):
    write_whole(tmp_path / "file", b"old")
    with pytest.raises(OSError, match="too large"):
        write_whole(tmp_path / "file", b"x" * 2000)
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_block_leaves_the_old_file(tmp_path: Path, error: type[BaseException]):
    write_whole(tmp_path / "file", b"old")
    with pytest.raises(error), whole_file(tmp_path / "file") as draft:
        draft.write_bytes(b"half")
        assert (tmp_path / "file").read_bytes() == b"old"
        raise error
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


KILLED = """
import os, signal, sys
from pathlib import Path
from edge.files import whole_file, whole_folder
path = Path(sys.argv[1])
with {call} as draft:
    (draft / "file" if draft.is_dir() else draft).write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("call", ["whole_file(path / 'file')", "whole_folder(path, replace=True)"])
def test_a_kill_leaves_the_old_content(tmp_path: Path, call: str):
    home = tmp_path / "home"
    home.mkdir()
    (home / "file").write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", KILLED.format(call=call), str(home)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (home / "file").read_bytes() == b"old"


def test_two_processes_never_write_to_the_same_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with whole_file(tmp_path / "file") as mine:
        monkeypatch.setattr(os, "getpid", lambda: 1)
        with whole_file(tmp_path / "file") as other:
            other.write_bytes(b"other")
        mine.write_bytes(b"mine")
        assert mine != other and (tmp_path / "file").read_bytes() == b"other"
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        done.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")  # noqa: PTH112
        fsync(descriptor)

    def replaced(self: Path, target: Path) -> Path:
        done.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    write_whole(tmp_path / "file", b"content", sync=True)
    assert done == ["file", "rename", "folder"]


def fill(folder: Path) -> None:
    (folder / "one").write_text("new")


@pytest.mark.parametrize("prepare", [lambda folder: None, Path.mkdir], ids=["absent", "empty"])
def test_a_folder_appears_once_it_is_whole(tmp_path: Path, prepare: Callable[[Path], None]):
    home = tmp_path / "parent" / "home"
    home.parent.mkdir()
    prepare(home)
    with whole_folder(home) as new:
        fill(new)
        assert not home.exists() or not names(home)
    assert names(home) == ["one"] and names(home.parent) == ["home"]


def test_a_folder_that_holds_something_is_replaced_only_on_purpose(tmp_path: Path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis").write_text("years of work")
    with pytest.raises(OSError, match="not empty"), whole_folder(home) as new:
        fill(new)
    assert names(home) == ["thesis"] and names(tmp_path) == ["home"]
    with whole_folder(home, replace=True) as new:
        fill(new)
    assert names(home) == ["one"] and names(tmp_path) == ["home"]


def test_a_failed_rename_brings_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    home = tmp_path / "home"
    home.mkdir()
    (home / "old").write_text("old")
    rename = Path.rename

    def fail_for_the_new_one(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError("no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_the_new_one)
    with pytest.raises(OSError, match="no"), whole_folder(home, replace=True) as new:
        fill(new)
    assert names(home) == ["old"] and names(tmp_path) == ["home"]


def test_an_interrupted_folder_leaves_nothing(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "home") as new:
        fill(new)
        raise KeyboardInterrupt
    assert names(tmp_path) == []
