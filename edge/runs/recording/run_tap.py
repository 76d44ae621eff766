"""What `vla-edge run` keeps of a drive: its tap, by the command line."""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.address import without_password
from edge.board.identity import this_board
from edge.bundle.bundle import Bundle
from edge.errors import UsageError, write_hint
from edge.files import free_path
from edge.goals.prompts import goal_prompt
from edge.interfaces import Inference
from edge.model.boxes import BoxReader
from edge.parsing import parse_action
from edge.records import DriveEnd, Goal
from edge.runs.folder import check_runs_dir
from edge.runs.recording.header import RunFacts, header
from edge.runs.setup import Setup
from edge.runs.tap.ending import FINISH_S, KeptTap
from edge.runs.tap.options import Images, TapOptions
from edge.runs.tap.tap import Tap
from edge.runs.viewers.rerun_log import FILE_ENDING
from edge.runs.viewers.run_viewers import check_viewers, viewer_lines

RECORD_HINT = "name another folder: `vla-edge run --record DIR`"


def add_recording(parser: argparse.ArgumentParser) -> None:
    """Add the options of what is kept of a run."""
    parser.add_argument(
        "--record",
        type=Path,
        metavar="DIR",
        help="record the run into DIR/<its name>.mcap (docs/recording.md)",
    )
    parser.add_argument(
        "--record-images",
        choices=[Images.LOSSLESS.value, Images.JPEG.value],
        default=Images.LOSSLESS.value,
        help="images of the recording; only lossless ones can be replayed bit by bit (%(default)s)",
    )
    parser.add_argument("--video", action="store_true", help="leave a video.mp4 with boxes in words")
    parser.add_argument(
        "--no-ring", action="store_true", help="keep no last30s.mcap of a run that ends badly"
    )


def check_kept(options: argparse.Namespace, goes_on: bool) -> None:
    """Check where a run leaves its files, and its viewers; make the folder of --record.

    The viewers of a run that goes on in a new program were checked by the one before, which may still hold
    their port. Raises UsageError if a folder can't be written, or is nearly full.
    """
    if not goes_on:
        check_viewers(options)
    check_runs_dir(options.runs_dir)
    if options.record is None:
        if options.record_images != Images.LOSSLESS.value and options.web is None:
            raise UsageError("--record-images goes with --record DIR, or with --web", RECORD_HINT)
        return
    check_runs_dir(options.record, "recordings folder", RECORD_HINT)
    try:
        options.record.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"can't make {options.record}: {error.strerror}", write_hint(error)) from error


def finished(
    taps: Sequence[Tap], end: DriveEnd, before: Sequence[KeptTap] = ()
) -> tuple[list[str], list[str]]:
    """Tell how the run ended; return the files that were recorded, and what is missing in them and why.

    `before` are taps of the same run before its engine was started again; their files come first.
    """
    deadline_s = time.monotonic() + FINISH_S
    newest = [tap.finish(end) for tap in taps]
    told = [*(each.report(deadline_s) for each in before), *newest]
    return [file for each in told for file in each.files], [note for each in told for note in each.notes]


class RunTap(Tap):
    """The tap of one run."""

    def __init__(
        self, options: argparse.Namespace, folder: Path, bundle: Bundle, goal: Goal, page_fd: int = -1
    ) -> None:
        """Start its process; `page_fd` is the number of the live page's socket."""
        self._run, self._folder, self._bundle, self._goal = options, folder, bundle, goal
        # A name is taken where an engine was started again.
        recording = (options.record or folder).absolute() / f"{folder.name}.mcap"
        kept = TapOptions(
            folder=str(folder.absolute()),
            recording=str(free_path(recording)) if options.record else "",
            later=str(recording) if page_fd >= 0 else "",
            images=Images(options.record_images),
            ring=not options.no_ring,
            video=str(free_path(folder / "video.mp4")) if options.video else "",
            page_fd=page_fd,
            foxglove_port=options.foxglove or 0,
            rerun=_rerun(options.rerun),
            root=str(options.root),
        )
        super().__init__(kept, _reader(bundle, goal))
        for line in viewer_lines(kept):
            print(line, file=sys.stderr, flush=True)

    def tell(
        self, setup: Setup, size: object, camera: str, cameras: Mapping[str, str], restarts: int
    ) -> None:
        """Tell what the drive consists of; `camera` is the one that the policy sees with.

        `restarts` counts those of its engine so far.
        """
        options = self._run
        facts = RunFacts(
            goal=self._goal,
            prompt=goal_prompt(self._bundle.manifest, self._goal),
            bundle_from=options.bundle,
            mount=setup.mount,
            base=setup.base,
            size=size,
            threads=options.threads,
            camera=camera,
            cameras={name: without_password(uri) for name, uri in cameras.items()},
            machine=this_board(options.root).to_json(),
            run=str(self._folder.absolute()),
            images=options.record_images if options.record else Images.FEW.value,
            max_seconds=options.max_seconds,
            restarts=restarts,
        )
        self.on_header(header(facts, self._bundle))


def _reader(bundle: Bundle, goal: Goal) -> Callable[[Inference], Any]:
    """Return what reads an answer as its policy does."""
    boxes = BoxReader(bundle.manifest.family, bundle.manifest.image)

    def read(inference: Inference) -> Any:
        if inference.chunk is not None:
            return {}
        if inference.detections:
            return {"detections": inference.detections}
        if goal.kind == "instruct":
            return parse_action(inference.text)
        return boxes.read(inference.text, inference.confidence, goal.target, inference.frame.image)

    return read


def _rerun(to: str | None) -> str:
    return str(free_path(Path(to).absolute())) if to and to.endswith(FILE_ENDING) else to or ""
