"""`vla-edge report RUN...`: what happened in runs, as one HTML page that needs no network."""

from pathlib import Path

from edge.commands.arguments import ArgumentParser
from edge.commands.output import print_json
from edge.errors import UsageError, write_hint
from edge.files import write_whole
from edge.report.material import read_run
from edge.report.page import page

MOST_RUNS = 200


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        "report", "Write one HTML page about runs: words, pictures, plots that zoom, the moment of each stop."
    )
    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="a run's folder, a folder of runs, or a recording (.mcap)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="the page (report.html in the first folder)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def main(argv: list[str]) -> int:
    """Run `vla-edge report`; returns 0."""
    options = _parser().parse_args(argv)
    found = [run for path in options.runs for run in _runs_in(path)]
    if len(found) > MOST_RUNS:
        raise UsageError(f"these are {len(found)} runs (limit {MOST_RUNS})", "name some of them")
    first: Path = options.runs[0]
    out: Path = options.out or (first if first.is_dir() else first.parent) / "report.html"
    runs = [read_run(path) for path in found]
    content = page(runs).encode()
    try:
        write_whole(out, content)
    except OSError as error:
        raise UsageError(f"can't write {out}: {error.strerror}", write_hint(error)) from error
    if options.json:
        print_json({"page": str(out), "bytes": len(content), "runs": [run.name for run in runs]})
    else:
        print(f"{out} has {len(runs)} {'run' if len(runs) == 1 else 'runs'}, {len(content) / 1e6:.1f} MB")
    return 0


def _runs_in(path: Path) -> list[Path]:
    """Return the runs that a path means: itself, or those in a folder of runs, in their order."""
    if not path.is_dir() or (path / "run.log").is_file() or (path / "summary.json").is_file():
        return [path]
    found = sorted(each.parent for each in path.rglob("run.log"))
    return found or sorted(path.glob("*.mcap")) or [path]
