"""What a run has left behind: its folder's files, its recording, and what of that is missing."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from edge.errors import UsageError
from edge.files import foreign_json
from edge.report.recording import ShownRecording, read_recording, read_recordings
from edge.report.run_log import LogLine, read_log
from edge.runs.tap.parts import RING, header_of, named_recordings, recordings_beside

MOST_LINES = 200_000
_STARTED = "drive started"
Line = dict[str, Any]


@dataclass(frozen=True)
class RunMaterial:
    """All that is known of one run."""

    name: str
    folder: Path | None
    summary: dict[str, Any] | None  # None: it never came to its end, or only a recording is there
    log: list[LogLine]
    setpoints: list[Line]  # firmware.jsonl
    decisions: list[Line]  # decisions.jsonl
    trial: Line | None  # trial.json of a field day
    recording: ShownRecording | None
    start_ns: int  # where the page counts from
    missing: list[str] = field(default_factory=list[str])  # for people

    def seconds(self, stamp_ns: int) -> float:
        """Return a stamp of CLOCK_MONOTONIC in seconds since the drive's start."""
        return round((stamp_ns - self.start_ns) / 1e9, 3)

    def picture(self, name: str) -> Path | None:
        """Return a picture of the folder, if it is there."""
        path = None if self.folder is None else self.folder / name
        return path if path is not None and path.is_file() else None


def part(document: Line | None, key: str) -> Line:
    """Return an object within a document; empty if it is not there."""
    value: object = (document or {}).get(key)
    return cast(Line, value) if isinstance(value, dict) else {}


def parts(document: Line | None, key: str) -> list[Line]:
    """Return the objects of a list within a document; none if it is not there."""
    value: object = (document or {}).get(key)
    return cast("list[Line]", value) if isinstance(value, list) else []


def read_run(path: Path) -> RunMaterial:
    """Return what is known of a run, by its folder or its recording. Raises UsageError if it is neither."""
    if path.suffix == ".mcap" and path.is_file():
        recording: ShownRecording | None = read_recording(path)
        folder = Path(recording.header.get("run", ""))
        return _material(path.stem, folder if (folder / "run.log").is_file() else None, recording)
    if not path.is_dir() or not any((path / each).is_file() for each in ("run.log", "summary.json")):
        raise UsageError(f"{path} is not a run's folder", "name folders below runs/, or files of --record")
    files = _recordings_of(path)
    return _material(path.resolve().name, path, read_recordings(files) if files else None)


def _recordings_of(folder: Path) -> list[Path]:
    """Return the recordings of a run in their order; none if it was not recorded."""
    if there := [each for each in named_recordings(folder) if each.is_file()]:
        return there
    name = f"{folder.name}.mcap"
    for place in (folder.with_name(name), folder / name, folder / f"{RING}.mcap"):
        if place.is_file():
            return list(recordings_beside(place, header_of(place)))
    return []


def _material(name: str, folder: Path | None, recording: ShownRecording | None) -> RunMaterial:
    log = [] if folder is None else read_log(folder / "run.log")
    started = next((line.stamp_ns for line in log if line.event == _STARTED), None)
    if started is None and recording is not None:
        started = recording.start_ns
    first = [line.stamp_ns for line in log[:1]]
    if recording is not None and recording.motor:
        first.append(recording.motor[0]["stamp_ns"])
    material = RunMaterial(
        name=name,
        folder=folder,
        summary=_document(folder, "summary.json"),
        log=log,
        setpoints=_json_lines(folder, "firmware.jsonl"),
        decisions=_json_lines(folder, "decisions.jsonl"),
        trial=_document(folder, "trial.json"),
        recording=recording,
        start_ns=started if started is not None else min(first, default=0),
    )
    material.missing.extend(_missing(material))
    return material


def _missing(run: RunMaterial) -> list[str]:
    """Return what a page would have shown, in words that stand behind "missing:"."""
    missing: list[str] = []
    recording = run.recording
    if run.folder is None:
        missing.append("The run's folder: the page shows the recording alone.")
    elif run.summary is None:
        missing.append("A summary.json: the run was killed, or still goes on.")
    if recording is None:
        missing.append(
            "A recording, and with it pictures, ages, speeds as measured and the machine: "
            "`vla-edge run --record DIR` keeps them."
        )
    elif recording.header.get("images") == "few":
        missing.append("All but the last 30 s, as `vla-edge run` kept them by itself, with small pictures.")
    if recording is not None and recording.part:
        missing.append(f"What else was recorded of the run: this is {recording.part}.")
    named = len(named_recordings(run.folder)) if run.folder else 0
    if recording is not None and run.folder is not None and not recording.part and named > recording.parts:
        missing.append(f"{named - recording.parts} of the run's {named} recordings: they are gone.")
    if recording is not None and not recording.whole:
        missing.append("What comes behind the last whole chunk of the recording, which is cut off.")
    if recording is not None and recording.end is None and run.summary is None:
        missing.append("The end of the run: it crashed, or was killed.")
    return missing


def _document(folder: Path | None, name: str) -> dict[str, Any] | None:
    """Return the object of a JSON file; None if it is not there. Raises UsageError if it can't be read."""
    path = None if folder is None else folder / name
    if path is None or not path.is_file():
        return None
    try:
        return dict(foreign_json(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{path} can't be read: {error}", "leave this run out") from error


def _json_lines(folder: Path | None, name: str) -> list[Line]:
    """Return the objects of a file of JSON lines; without its last one if that is torn."""
    path = None if folder is None else folder / name
    if path is None or not path.is_file():
        return []
    found: list[Line] = []
    with path.open("rb") as file:
        for line in file:
            try:
                document = json.loads(line)
            except ValueError:
                continue
            if isinstance(document, dict):
                found.append(cast(Line, document))
            if len(found) == MOST_LINES:
                break
    return found
