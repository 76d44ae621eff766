"""The error tree. Each error says what went wrong, what was measured, the limit, and the next command.

    EdgeError                exit code 1
    ├── EndOfFrames          0  every recorded frame has been played (in `edge.cameras.file`)
    ├── UsageError           2  bad arguments, address or configuration
    ├── SafetyStop           4  a safety rule stopped the robot
    │   ├── StaleFrame       4  the newest frame is too old
    │   │   └── CameraAway   4  a camera is away and may come back: the base holds
    │   ├── MotorFault       4  the motor process or the actuator failed
    │   └── EngineFault      4  an engine failed
    ├── HardwareMissing      5  a camera, port, robot or renderer is not there
    │   └── PluginError      5  the code of an installed package fails, or breaks its contract
    └── BundleRefused        6  a bundle is missing, damaged or not made for this machine

Exit code 0 is also a goal that was reached, 3 one that was not; 1 is otherwise a bug, 130 an end by Ctrl-C.
"""

import errno

_TORCH_EXTRAS = ("export", "train")
_CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def install_hint(extra: str = "") -> str:
    """Return the command that installs vla-edge with an extra of setup.py; PyPI does not have it yet."""
    where, command = "in the folder of vla-edge's source", f"pip install '.{f'[{extra}]' if extra else ''}'"
    if extra in _TORCH_EXTRAS:
        where += " (the index saves 5 GB of CUDA; with an NVIDIA GPU leave it out)"
        command += f" --extra-index-url {_CPU_INDEX}"
    return f"{where}: {command}"


def write_hint(error: OSError) -> str:
    """Return what a person can do about a file that can't be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return "free some space, or write elsewhere" if full else "check the folder and its permissions"


class EdgeError(Exception):
    """Base of every error that a user can cause or meet. The command line returns its `exit_code`."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(EdgeError):
    """Bad arguments, a malformed address or a bad configuration: nothing was started."""

    exit_code = 2


class SafetyStop(EdgeError):
    """The robot was stopped by a safety rule."""

    exit_code = 4


class StaleFrame(SafetyStop):
    """The newest camera frame is older than allowed."""


class CameraAway(StaleFrame):
    """A camera is away: without frames for the moment, and being reconnected. The base holds."""


class MotorFault(SafetyStop):
    """The motor process or the actuator behind it failed or disagreed."""


class EngineFault(SafetyStop):
    """An engine failed, or computed something that is not a number."""


class HardwareMissing(EdgeError):
    """A camera, port, robot or renderer is not there or may not be opened."""

    exit_code = 5


class PluginError(HardwareMissing):
    """The code of an installed package fails or breaks its contract: what it brings can't be used."""


class BundleRefused(EdgeError):
    """A bundle is missing, cut short, altered, or not made for this machine."""

    exit_code = 6


MAX_REASON_CHARS = 240


def reason_of(error: BaseException) -> str:
    """Return what another library's exception says, for a sentence of ours: one line that ends where it may.

    Longer texts end after a sentence, or with "…" behind a word. Without a text it is the exception's name.
    """
    text = (isinstance(error, OSError) and error.strerror) or str(error)
    text = " ".join(text.split()) or type(error).__name__
    if isinstance(error, KeyError):
        return f"{text} is missing"
    if len(text) > MAX_REASON_CHARS:
        head = text[:MAX_REASON_CHARS]
        end = max(head.rfind(mark) for mark in (". ", "! ", "? "))
        text = head[:end] if end > 0 else (head.rpartition(" ")[0] or head) + " …"
    return text.rstrip(".:;, ")
