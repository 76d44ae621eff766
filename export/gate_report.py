"""What the gate measured, as a table for people."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from export.auto import Choice
from export.gate import Parity
from export.gate_answers import BoxAnswers


def print_report(parity: Parity, console: Console | None = None) -> None:
    """Stages, answers, and what was too far off."""
    console = console or Console()
    limits = parity.limits
    title = f"{parity.precision} against fp32, {parity.samples} held-out questions ({parity.computed})"
    stages = Table("stage", "cosine (lowest)", "SQNR (median)", "max error", "adds most error", title=title)
    for role, stage in parity.stages.items():
        layers = parity.worst[role]
        worst = f"{layers[0].layer} +{layers[0].added:.1%}" if layers else ""
        numbers = f"{stage.cosine:.4f}", f"{stage.sqnr_db:.1f} dB", f"{stage.max_error:.3g}"
        stages.add_row(role, *(numbers if stage.finite else ("NaN or infinity", "", "")), worst)
    console.print(stages)
    if parity.kept:
        kept = Table("stays wider", "its noise", title="layers that would harm most, each alone")
        for role, layers in parity.kept.items():
            for layer in layers:
                kept.add_row(f"{role}: {layer.layer}", f"{layer.noise:.3%}")
        console.print(kept)
    answers = Table("answers", "measured", "limit")
    for name, measured, limit in _rows(parity):
        answers.add_row(name, measured, limit)
    if parity.answers is not None:
        console.print(answers)
    for failure in parity.failures:
        console.print(f"too far from fp32: {failure}", style="red", highlight=False)
    if not parity.failures:
        console.print(f"passed: stages {limits.stage_cosine}, {limits.stage_sqnr_db:g} dB or better")


def print_choices(choices: Sequence[Choice], console: Console | None = None) -> None:
    """What `--precision auto` chose: the layers that are not as fast as they could be, and the others."""
    console = console or Console()
    table = Table("layer", "is", "not", "its noise", "ms faster", "why", title="layers kept high")
    for one in choices:
        if one.why:
            figures = f"{one.fastest_noise:.3%}", f"{one.gained_ms:.3f}"
            table.add_row(f"{one.role}: {one.layer}", one.precision, one.fastest, *figures, one.why)
    console.print(table)
    rest = Table("graph", "layers", "precision", "noise", "gained", title="the fastest")
    for role, precision in dict.fromkeys((one.role, one.precision) for one in choices if not one.why):
        of = [one for one in choices if not one.why and (one.role, one.precision) == (role, precision)]
        noise, gained_ms = sum(one.noise for one in of), sum(one.gained_ms for one in of)
        rest.add_row(role, str(len(of)), precision, f"{noise:.3%}", f"{gained_ms:.3f} ms")
    console.print(rest)


def _rows(parity: Parity) -> list[tuple[str, str, str]]:
    said, limits = parity.answers, parity.limits
    if said is None:
        return []
    if isinstance(said, BoxAnswers):
        return [
            ("the same, token for token", f"{said.equal:.1%} of {said.questions}", ""),
            ("sure detections lost", _of(said.sure_lost, said.sure_detections), ""),
            ("sure detections gained", _of(said.sure_gained, said.absent), ""),
            ("all detections lost", _of(said.lost, said.detections), f"{limits.lost:.0%}"),
            ("all detections gained", _of(said.gained, said.absent), f"{limits.gained:.0%}"),
            ("IoU, median", f"{said.iou_median:.3f}", f"{limits.iou_median}"),
            ("IoU, 5th percentile", f"{said.iou_p5:.3f}", ""),
            ("the same words", _of(said.words_equal, said.words), f"{limits.words_equal:.0%}"),
        ]
    rows = [
        (f"error of {name}, p99 (max)", f"{said.p99_error[name]:.4f} ({said.max_error[name]:.4f})", "")
        for name in said.p99_error
    ]
    if said.equal is not None:
        return [*rows, ("equal tokens", f"{said.equal:.1%}", f"{limits.equal_tokens:.0%}")]
    return [*rows, ("p99 error, of the span", f"{said.p99_share:.2%}", f"{limits.action_share:.0%}")]


def _of(share: float, count: int) -> str:
    return f"{share:.2%} of {count}"
