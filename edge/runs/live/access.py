"""Who may reach a run over HTTP: who has the token of a file of this user, and comes from no foreign page."""

import hmac
import ipaddress
import json
import os
import secrets
import socket
from pathlib import Path
from typing import Any

from edge.errors import UsageError, write_hint
from edge.files import whole_file


def new_token() -> str:
    """Return a token that nobody guesses."""
    return secrets.token_urlsafe(32)


def is_token(given: object, token: str) -> bool:
    """Return whether somebody has given the token, in a time that tells nothing about it."""
    return isinstance(given, str) and hmac.compare_digest(given.encode(errors="replace"), token.encode())


def bears_token(authorization: str, token: str) -> bool:
    """Return whether an Authorization header has the token."""
    return is_token(authorization, f"Bearer {token}")


def write_access(file: Path, port: int, token: str, **more: Any) -> None:
    """Write port, token and this process's id into a file that only this user may read.

    Raises UsageError if it can't be written.
    """
    content = {"port": port, "token": token, "pid": os.getpid(), **more}
    try:
        with whole_file(file) as draft:
            draft.touch(mode=0o600)
            draft.write_text(json.dumps(content) + "\n")
    except OSError as error:
        raise UsageError(f"can't write {file}: {error.strerror}", write_hint(error)) from error


def is_own_host(host: str) -> bool:
    """Return whether a Host header names this machine by an address, as localhost or by its own name.

    Any other name may be a foreign page's, which its owner has just pointed at this machine.
    """
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    here = socket.gethostname().lower()
    if name.lower() in ("localhost", here, f"{here}.local"):
        return True
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def is_same_origin(origin: str | None, host: str) -> bool:
    """Return whether a request comes from our own page, or from a program, which states no origin."""
    return origin is None or origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower())
