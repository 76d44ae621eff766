"""One line of `vla-edge doctor`."""

from dataclasses import asdict, dataclass
from enum import Enum


class CheckStatus(str, Enum):
    """How a thing is."""

    OK = "ok"
    WARN = "warn"  # a drive may go worse for it
    FAIL = "fail"  # it stops a drive that needs it
    ABSENT = "absent"  # this machine does not have it, and that is not a fault


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    status: CheckStatus
    found: str  # what was measured, for people
    hint: str = ""  # the command that mends it, or says more

    def to_json(self) -> dict[str, str]:
        """Return it for `--json`."""
        return {**asdict(self), "status": self.status.value}


def ok(name: str, found: str, hint: str = "") -> Check:
    """Return a line about a thing that is as it should be."""
    return Check(name, CheckStatus.OK, found, hint)


def warn(name: str, found: str, hint: str) -> Check:
    """Return a line about a thing that could be better."""
    return Check(name, CheckStatus.WARN, found, hint)


def fail(name: str, found: str, hint: str) -> Check:
    """Return a line about a thing that stops a drive."""
    return Check(name, CheckStatus.FAIL, found, hint)


def absent(name: str, found: str, hint: str = "") -> Check:
    """Return a line about a thing that this machine does not have."""
    return Check(name, CheckStatus.ABSENT, found, hint)
