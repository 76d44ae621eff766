"""The stop over HTTP and clients that are not meant well, on real sockets."""

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.runtime.stop_server import MAX_CONNECTIONS, STOP_FILE, StopServer

BAD = {
    "noise": b"\xff\xfe\x00" * 50 + b"\r\n\r\n",
    "no token": b"POST /stop HTTP/1.1\r\n\r\n",
    "a wrong token": b"POST /stop HTTP/1.1\r\nAuthorization: Bearer \xff\xe9\r\n\r\n",
    "a path with tricks": b"POST /../stop?x=//stop HTTP/1.1\r\nAuthorization: TOKEN\r\n\r\n",
    "another method": b"DELETE /stop HTTP/1.1\r\nAuthorization: TOKEN\r\n\r\n",
    "a large body": b"POST /stop HTTP/1.1\r\nAuthorization: TOKEN\r\nContent-Length: 99999\r\n\r\n",
    "a length below zero": b"POST /stop HTTP/1.1\r\nAuthorization: TOKEN\r\nContent-Length: -1\r\n\r\n",
    "a header without an end": b"POST /stop HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
    "many headers": b"POST /stop HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    "two requests at once, both wrong": b"GET / HTTP/1.1\r\n\r\nGET /stop HTTP/1.1\r\n\r\n",
}


@pytest.fixture
def stops() -> list[str]:
    return []


@pytest.fixture
def access(tmp_path: Path, stops: list[str]) -> Iterator[tuple[int, str]]:
    with StopServer(tmp_path, stops.append):
        found = json.loads((tmp_path / STOP_FILE).read_text())
        yield found["port"], f"Bearer {found['token']}"


def sent(port: int, request: bytes) -> bytes:
    """Return the first line of the answer; empty if the connection was cut."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client, contextlib.suppress(OSError):
        client.sendall(request)
        return client.recv(4096).partition(b"\r\n")[0]
    return b""


def good(token: str) -> bytes:
    return f"POST /stop HTTP/1.1\r\nAuthorization: {token}\r\n\r\n".encode()


def test_a_malformed_request_stops_nothing_and_a_good_one_does(
    access: tuple[int, str], stops: list[str], capsys: pytest.CaptureFixture[str]
):
    port, token = access
    for what, request in BAD.items():
        assert b" 200 " not in sent(port, request.replace(b"TOKEN", token.encode())), what
    assert stops == []
    assert b" 200 " in sent(port, good(token))
    assert stops == ["vla-edge stop"]
    assert capsys.readouterr().err == ""


def test_a_good_stop_arrives_while_slow_clients_hold_all_connections(
    access: tuple[int, str], stops: list[str]
):
    port, token = access
    with contextlib.ExitStack() as held:
        for _ in range(3 * MAX_CONNECTIONS):
            client = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            client.sendall(b"POST /stop HTTP/1.1\r\nX: ")
        assert b" 200 " in sent(port, good(token))
        # The oldest was ended, so connections do not add up.
    assert stops == ["vla-edge stop"]


def test_a_client_that_never_ends_its_request_is_cut_off(access: tuple[int, str]):
    with socket.create_connection(("127.0.0.1", access[0]), timeout=20) as client:
        client.sendall(b"POST /stop HTTP/1.1\r\n")
        client.settimeout(0.3)
        with contextlib.suppress(OSError):
            while True:
                client.sendall(b"X: y\r\n")  # something comes all the time
                with contextlib.suppress(TimeoutError):
                    assert client.recv(1) == b""
                    break


def test_it_listens_on_this_machine_alone(access: tuple[int, str]):
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    bound = {row[1] for row in rows if row[3] == "0A" and int(row[1][-4:], 16) == access[0]}
    assert bound == {f"0100007F:{access[0]:04X}"}
    assert not any(f":{access[0]:04X}" in line for line in Path("/proc/net/tcp6").read_text().splitlines())
