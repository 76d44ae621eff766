"""`vla-edge stop`: stop the drives that run, from another terminal of the same computer."""

import http.client
import json
import time
from pathlib import Path

from edge.commands.arguments import ArgumentParser
from edge.commands.output import print_json
from edge.errors import EdgeError, SafetyStop, UsageError, reason_of
from edge.runtime.stop_server import STOP_FILE

ANSWER_LIMIT_S = 2.0
END_LIMIT_S = 10.0  # from the stop to the end of the run, which writes pictures


def main(argv: list[str]) -> int:
    """Stop every drive in the runs' folder, or the given one; returns 0 once all of them have ended."""
    parser = ArgumentParser("stop", "Stop the drives that run: the base brakes at once, and each run ends.")
    parser.add_argument("run", type=Path, nargs="?", help="folder of one run (default: all that run)")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="their folder (%(default)s/)")
    parser.add_argument("--json", action="store_true", help="print what was stopped as JSON")
    options = parser.parse_args(argv)
    files = [options.run / STOP_FILE] if options.run else sorted(options.runs_dir.glob(f"*/{STOP_FILE}"))
    stopped = _stop_all(files)
    if not stopped:
        where = options.run or f"{options.runs_dir}/"
        raise UsageError(
            f"no drive runs in {where}",
            "name its folder with --runs-dir; Ctrl-C in its terminal stops it too",
        )
    for file in stopped:
        _await_end(file)
    if options.json:
        print_json({"stopped": [str(file.parent) for file in stopped]})
    else:
        print("\n".join(f"stopped: {file.parent}" for file in stopped))
    return 0


def _stop_all(files: list[Path]) -> list[Path]:
    """Stop every run, then raise what failed first; return those that were running."""
    stopped: list[Path] = []
    errors: list[EdgeError] = []
    for file in files:
        try:
            if _stop(file):
                stopped.append(file)
        except EdgeError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return stopped


def _stop(file: Path) -> bool:
    """Send the stop; False if that run is over. Raises UsageError if untold, SafetyStop if it fails."""
    try:
        access = json.loads(file.read_text())
        port, token = int(access["port"]), str(access["token"])
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"can't read {file}: {reason_of(error)}", "is it a run of another user?") from error
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_LIMIT_S)
    try:
        connection.request("POST", "/stop", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        text = answer.read(1024).decode(errors="replace")
    except ConnectionRefusedError:
        return False  # the run was killed, and left its file
    except TimeoutError as error:  # it hangs, or is started again: the stop counts as soon as it listens
        told = f"{file.parent} was told to stop, and has not answered within {ANSWER_LIMIT_S:.0f} s"
        raise SafetyStop(told, _pull_the_plug(file)) from error
    except (OSError, http.client.HTTPException) as error:
        if not file.exists():
            return False  # it has just ended
        why = reason_of(error)
        raise SafetyStop(f"{file.parent} was not stopped: {why}", _pull_the_plug(file)) from error
    finally:
        connection.close()
    if answer.status == 401:
        return False  # another program listens where a killed run did
    if answer.status != 200:
        raise SafetyStop(f"{file.parent} was not stopped: {text}", _pull_the_plug(file))
    return True


def _await_end(file: Path) -> None:
    deadline_s = time.monotonic() + END_LIMIT_S
    while file.exists():
        if time.monotonic() > deadline_s:
            raise SafetyStop(
                f"{file.parent} was told to stop, and has not ended within {END_LIMIT_S:.0f} s",
                _pull_the_plug(file),
            )
        time.sleep(0.02)


def _pull_the_plug(file: Path) -> str:
    return f"press the emergency stop of the robot; {file.parent}/pids.json names its processes"
