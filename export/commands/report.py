"""The output of `vla-edge export` and `vla-edge build`: progress and results."""

import contextlib
from collections.abc import Iterator, Mapping

from edge.bundle.bundle import Bundle
from edge.bundle.manifest import Manifest
from edge.bundle.parity import print_parity
from edge.commands.output import ProgressLine, print_json
from edge.model.prompt_ids import family_chat
from export.commands.options import ExportOptions
from export.measure.progress import OnProgress
from export.sources.generation import NOT_FOLLOWED

_SHOWN = 4  # values of a rule that are printed; of more, only their number is


def print_result(options: ExportOptions, bundle: Bundle, gate: bytes | None = None) -> None:
    """Print a written bundle's size, parity and notes. `gate` is the content of the gate's parity.json."""
    manifest, size = bundle.manifest, sum(map(len, bundle.contents.values()))
    notes = notes_of(manifest)
    if options.json:
        figures = {"out": str(options.out), "bytes": size, "parity": manifest.parity}
        about = {"precision": options.precision, "unproved": manifest.unproved, "notes": notes}
        print_json(figures | about)
        return
    if gate is not None:
        print_parity(gate)
    print(f"{options.out}: {size / 1e6:.1f} MB, {options.precision}")
    if gate is None:
        print("parity with torch:")
        print_figures(manifest.parity)
    for sentence in followed(manifest):
        print(f"followed: {sentence}")
    for note in notes:
        print(f"note: {note}")


def print_figures(figures: Mapping[str, float]) -> None:
    """Print figures one below the other."""
    width = max(map(len, figures), default=0)
    for name, value in figures.items():
        shown = f"{value:.0%} of them" if name == "equal" else f"{value:.4g}"
        print(f"  {name.replace('_', ' '):<{width}}  {shown}")


def followed(manifest: Manifest) -> list[str]:
    """Say which settings of the checkpoint's generation_config.json the bundle's answers follow."""
    if manifest.answer is None:
        return []
    rules = manifest.answer.rules
    found = {} if rules is None else rules.model_dump(exclude_defaults=True, exclude={"start"})
    sentences = [f"{name} {_short(value)}" for name, value in found.items()]
    ends = manifest.answer.end_ids
    return [
        *sentences,
        f"answers end with token {_short(ends)}, or after {manifest.answer.max_tokens} tokens",
    ]


def _short(value: object) -> str:
    if not isinstance(value, tuple):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if len(value) > _SHOWN:
        return f"({len(value)} of them)"
    return " or ".join("-".join(map(str, one)) if isinstance(one, tuple) else str(one) for one in value)


def notes_of(manifest: Manifest) -> list[str]:
    """Say where a checkpoint is unlike its family, and which of its settings are not followed."""
    notes: list[str] = []
    chat = manifest.chat
    if chat is not None and chat != family_chat(manifest.family):
        notes.append(
            f"its chat template is not the usual one of {manifest.family}, and is followed: {chat.before!r}, "
            f"the picture, {chat.between!r}, the words, {chat.after!r}"
        )
    if NOT_FOLLOWED in manifest.provenance:
        notes.append(f"answers are greedy; the checkpoint also asks for {manifest.provenance[NOT_FOLLOWED]}")
    if manifest.head is not None and not manifest.domain:
        notes.append(
            "what its demonstrations showed is not stated: `--domain simulated-rooms` if it was the simulator"
        )
    return notes


@contextlib.contextmanager
def show_progress() -> Iterator[OnProgress]:
    """Show what is being done, on standard error."""
    with ProgressLine() as progress:
        yield progress.show
