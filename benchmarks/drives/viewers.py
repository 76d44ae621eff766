"""`python -m benchmarks.drives.viewers`: what viewers of the live page cost a drive.

Drives without a model at the simulated robot, in turn without a page and with one that several look at, of
whom one is frozen: it takes nothing any more. What counts is the time from a frame to the motors. Viewers
have processors of their own; here they run at a low priority beside the drive.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.stops.page import SPEED
from edge.bundle.choice import AUTO
from edge.commands.arguments import non_negative_int, positive_float
from edge.commands.output import ProgressLine, print_json
from edge.errors import HardwareMissing
from edge.runs.live.client import PAGE_FILE

WARM_S = 60.0  # for a run to begin
MOST_TRIES = 3


async def _look(access: dict[str, Any], frozen: bool) -> int:
    """Look at a page until it is over; return how many messages came."""
    import aiohttp

    url = f"http://127.0.0.1:{access['port']}/live"
    async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0) as socket:
        await socket.send_json({"token": access["token"]})
        if frozen:
            await asyncio.sleep(3600)
        count = 0
        async for message in socket:
            head = json.loads(message.data[4 : 4 + int.from_bytes(message.data[:4], "big")])
            await socket.send_json({"seen": head["number"]})
            count += 1
        return count


async def _look_all(access: dict[str, Any], viewers: int) -> None:
    frozen = asyncio.ensure_future(_look(access, frozen=True))
    print_json(list(await asyncio.gather(*(_look(access, frozen=False) for _ in range(viewers - 1)))))
    sys.stdout.flush()
    frozen.cancel()
    os._exit(0)  # the frozen one would wait for an answer to its farewell


def drive_once(viewers: int, seconds: float) -> dict[str, Any] | None:
    """Return the figures of one drive, with so many viewers or without a page; None if it failed."""
    with tempfile.TemporaryDirectory() as name:
        command = [
            sys.executable,
            "-m",
            "benchmarks.stops.page",
            "--run",
            "--goal",
            "find_object",
            "--target",
        ]
        command += ["chair", "--bundle", AUTO, "--max-seconds", str(seconds), "--runs-dir", name]
        command += ["--json", "--no-ring", *(["--web", "0"] if viewers else [])]
        looking = None
        if viewers:
            look = [sys.executable, "-m", "benchmarks.drives.viewers", "--look", name]
            look = ["nice", "-n", "5", *look, "--viewers", str(viewers)]
            looking = subprocess.Popen(look, stdout=subprocess.PIPE, text=True)
        child = subprocess.Popen(
            command, env={**os.environ, SPEED: "0.3"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        child.wait()
        counts: list[int] = []
        if looking is not None:
            counts = json.loads(looking.communicate(timeout=60)[0] or "[]")
            if min(counts, default=0) < seconds:  # fewer than one a second: they came too late
                return None
        summary = json.loads(next(Path(name).glob("*/summary.json")).read_text())
        if summary["outcome"] != "timeout":
            return None
        return {**summary["frame_to_motor_ms"], "messages": counts, "missed_ticks": summary["missed_ticks"]}


def main(argv: list[str]) -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.drives.viewers", description="Look at drives."
    )
    parser.add_argument("--pairs", type=non_negative_int, default=5, help="drives of each kind (%(default)s)")
    parser.add_argument(
        "--viewers", type=non_negative_int, default=10, help="of whom one is frozen (%(default)s)"
    )
    parser.add_argument("--seconds", type=positive_float, default=15.0, help="of a drive (%(default)g)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--look", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.look is not None:
        end_s = time.monotonic() + WARM_S
        while not (files := list(options.look.glob(f"*/{PAGE_FILE}"))) and time.monotonic() < end_s:
            time.sleep(0.05)
        asyncio.run(_look_all(json.loads(files[0].read_text()), options.viewers))
    found: dict[int, list[dict[str, Any]]] = {0: [], options.viewers: []}
    with ProgressLine() as progress:
        for _ in range(2 * MOST_TRIES * options.pairs):
            viewers = min(found, key=lambda each: len(found[each]))  # the kind that has fewer drives
            progress.show("drives", sum(map(len, found.values())), 2 * options.pairs)
            figures = drive_once(viewers, options.seconds)
            found[viewers] += [figures] if figures else []
            if all(len(each) == options.pairs for each in found.values()):
                break
        else:
            raise HardwareMissing(
                "too few drives came to their end",
                "is the machine overloaded? `vla-edge run` tells why a run ends",
            )
    result: dict[str, Any] = {str(viewers): _row(drives) for viewers, drives in found.items()}
    result["load_average"] = os.getloadavg()[1]
    if options.json:
        print_json(result)
        return 0
    for viewers, drives in found.items():
        row = _row(drives)
        times = f"frame to motor {row['p50']} ms, 99 % in {row['p99']} ms"
        print(f"{viewers} viewers, {len(drives)} drives: {times} (medians over drives)")
        print(f"  99 % of each drive: {', '.join(str(each['p99']) for each in drives)}")
    print(f"load average {result['load_average']:.1f} on {os.cpu_count()} cores")
    return 0


def _row(drives: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians over drives."""
    return {
        "p50": statistics.median(each["p50"] for each in drives),
        "p99": statistics.median(each["p99"] for each in drives),
        "drives": drives,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
