"""Starts the RTSP server beside this file, for measurements and for tests."""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

SERVER = Path(__file__).parent / "rtsp_server.py"
SYSTEM_PYTHON = "/usr/bin/python3"  # has PyGObject, which virtual environments lack
CODECS = ("h264", "mjpeg")
END_S = 5.0


@contextmanager
def serving(*options: str) -> Generator[str, None, None]:
    """Run the server with these options until the end of the context; gives its host and port."""
    with subprocess.Popen(
        [SYSTEM_PYTHON, str(SERVER), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdin is not None and server.stdout is not None
        try:
            yield f"127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.stdin.close()
            try:
                server.wait(END_S)
            except subprocess.TimeoutExpired:
                server.kill()
