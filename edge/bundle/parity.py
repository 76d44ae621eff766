"""The figures of an export's gate in a bundle's parity.json, as tables for people."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.errors import ConsoleError, MarkupError
from rich.markup import escape
from rich.table import Table

from edge.errors import BundleRefused, reason_of
from edge.files import foreign_json

MIN_COLUMNS = 80
# What a file raises that holds other values than an export's, also in its tables.
_NOT_PARITY = (
    ArithmeticError,
    AttributeError,
    ConsoleError,
    LookupError,
    MarkupError,
    RecursionError,
    TypeError,
    ValueError,
)
Row = tuple[str, str, str]  # what, measured, limit


def print_parity(content: bytes, console: Console | None = None) -> None:
    """Print stages, answers, noise to compare with, and which figures were too far off.

    Raises BundleRefused if the file does not hold these.
    """
    # A narrower table would cut its words: a narrow terminal wraps the lines instead.
    console = console or Console(width=max(MIN_COLUMNS, Console().width))
    try:
        _print(foreign_json(content), console)
    except _NOT_PARITY as error:
        raise BundleRefused(
            f"parity.json does not hold what an export writes: {type(error).__name__} {reason_of(error)}",
            "export the bundle again",
        ) from error


def _print(parity: Mapping[str, Any], console: Console) -> None:
    tables = [_stages(parity), *_kept(parity), *_answers(parity), *_success(parity)]
    failures = [str(failure) for failure in parity["failures"]]
    for table in tables:
        console.print(table)
    if "equal_tokens" in parity:
        console.print(
            f"tokens that are the same: {_percent(parity['equal_tokens'])}, of {parity['samples']} questions",
            markup=False,
        )
    for failure in failures:
        console.print(f"too far from fp32: {escape(failure)}", style="red", highlight=False)
    if not failures:
        limits = parity["limits"]
        console.print(
            f"passed: stages {limits['stage_cosine']}, {limits['stage_sqnr_db']:g} dB or better", markup=False
        )


def _stages(parity: Mapping[str, Any]) -> Table:
    title = (
        f"{parity['precision']} against fp32, {parity['samples']} held-out questions ({parity['computed']})"
    )
    noises = parity.get("noise", [])
    table = Table("stage", "cosine (lowest)", "SQNR (median)", "max error", title=title)
    table.add_column("adds most error", overflow="fold")  # long names go on in the next line
    for noise in noises:
        table.add_column(f"{noise['of']} alone" if noise["of"] == "bf16" else noise["of"])
    for role, stage in parity["stages"].items():
        layers = parity["worst"][role]
        worst = f"{layers[0]['layer']} +{_percent(layers[0]['added'])}" if layers else ""
        numbers = f"{stage['cosine']:.4f}", f"{stage['sqnr_db']:.1f} dB", f"{stage['max_error']:.3g}"
        others = [_stage(noise["stages"].get(role)) for noise in noises]
        table.add_row(
            escape(role),
            *(numbers if stage["finite"] else ("NaN or infinity", "", "")),
            escape(worst),
            *others,
        )
    return table


def _stage(stage: Mapping[str, Any] | None) -> str:
    if stage is None:
        return ""
    return f"{stage['cosine']:.4f}, {stage['sqnr_db']:.1f} dB" if stage["finite"] else "NaN or infinity"


def _kept(parity: Mapping[str, Any]) -> list[Table]:
    if not parity["kept"]:
        return []
    table = Table(title="layers that would harm most, each alone")
    table.add_column("stays wider", overflow="fold")
    table.add_column("its noise")
    for role, layers in parity["kept"].items():
        for layer in layers:
            table.add_row(escape(f"{role}: {layer['layer']}"), f"{layer['noise']:.3%}")
    return [table]


def _answers(parity: Mapping[str, Any]) -> list[Table]:
    if parity["answers"] is None:
        return []
    table = Table("answers", "measured", "limit")
    noises = [noise for noise in parity.get("noise", []) if noise["answers"] is not None]
    for noise in noises:
        name = f"{noise['of']} alone" if noise["of"] == "bf16" else noise["of"]
        table.add_column(f"{name}, {noise['samples']} questions")
    columns = [
        {what: measured for what, measured, _ in answer_rows(noise["answers"], parity["limits"])}
        for noise in noises
    ]
    for what, measured, limit in answer_rows(parity["answers"], parity["limits"]):
        table.add_row(what, measured, limit, *(column[what] for column in columns))
    return [table]


def answer_rows(answers: Mapping[str, Any], limits: Mapping[str, Any]) -> list[Row]:
    """Return what was measured, the figure, and its limit if it has one."""
    if "detections" in answers:
        return [
            ("the same, token for token", f"{answers['equal']:.1%} of {answers['questions']}", ""),
            ("sure detections lost", _of(answers["sure_lost"], answers["sure_detections"]), ""),
            ("sure detections gained", _of(answers["sure_gained"], answers["absent"]), ""),
            ("all detections lost", _of(answers["lost"], answers["detections"]), f"{limits['lost']:.0%}"),
            ("all detections gained", _of(answers["gained"], answers["absent"]), f"{limits['gained']:.0%}"),
            ("IoU, median", f"{answers['iou_median']:.3f}", f"{limits['iou_median']}"),
            ("IoU, 5th percentile", f"{answers['iou_p5']:.3f}", ""),
            ("the same words", _of(answers["words_equal"], answers["words"]), f"{limits['words_equal']:.0%}"),
        ]
    rows = [
        (f"error of {name}, p99 (max)", f"{p99:.4f} ({answers['max_error'][name]:.4f}) {_unit(name)}", "")
        for name, p99 in answers["p99_error"].items()
    ]
    if answers["equal"] is not None:
        return [*rows, ("equal tokens", f"{answers['equal']:.1%}", f"{limits['equal_tokens']:.0%}")]
    return [*rows, ("p99 error, of the span", f"{answers['p99_share']:.2%}", f"{limits['action_share']:.0%}")]


def _success(parity: Mapping[str, Any]) -> list[Table]:
    success = parity.get("success")
    if success is None:
        return []
    table = Table(
        "closed loop",
        "fp32",
        parity["precision"],
        "limit",
        title=f"the same rooms of '{success['simulation']}'",
    )
    count, limit = success["episodes"], parity["limits"]["success_points"]
    table.add_row(
        "goals reached",
        _of(success["base"], count),
        _of(success["other"], count),
        f"{limit * 100:g} points less",
    )
    table.add_row("only by one", str(len(success["lost"])), str(len(success["gained"])), "")
    if count < 100:
        table.caption = "fewer than 100 rooms prove little"
    return [table]


def _unit(column: str) -> str:
    return "rad/s" if column.startswith("angular") else "m/s"


def _of(share: float, count: int) -> str:
    return f"{share:.2%} of {count}"


def _percent(share: float | None) -> str:
    return "NaN or infinity" if share is None else f"{share:.1%}"
