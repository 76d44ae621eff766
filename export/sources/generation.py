"""Rules of answers in a checkpoint's generation_config.json: those that a bundle follows, and others."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edge.bundle.manifest import MAX_ANSWER_TOKENS, AnswerSpec, TokenRules, first_problem
from edge.bundle.published import read_config, read_json
from edge.errors import UsageError

NOT_FOLLOWED = "not_followed"  # key of the provenance: what answers don't follow of the configuration
_FILE = "generation_config.json"
# Settings that would change the most probable answer and that the runtime lacks, with the values that do
# nothing.
_REFUSED: dict[str, tuple[Any, ...]] = {
    "sequence_bias": (None, [], {}),
    "exponential_decay_length_penalty": (None,),
    "guidance_scale": (None, 1),
    "encoder_repetition_penalty": (None, 1),
    "encoder_no_repeat_ngram_size": (None, 0),
    "penalty_alpha": (None, 0),
    "dola_layers": (None,),
    "constraints": (None, []),
    "force_words_ids": (None, []),
    "watermarking_config": (None,),
    "token_healing": (None, False),
    "stop_strings": (None, []),
}
# Settings that matter to samples alone.
_SAMPLING = ("temperature", "top_k", "top_p", "top_h", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")


def answer_spec(
    folder: Path, max_tokens: int, own: set[int], start: tuple[int, ...], vocabulary: int
) -> tuple[AnswerSpec, str]:
    """Read how a model of `vocabulary` tokens answers, and name the settings that are not followed.

    `own` are the family's own end tokens, `start` the first tokens of a decoder with an encoder. Raises
    UsageError if answers depend on something that the runtime lacks.
    """
    if max_tokens > MAX_ANSWER_TOKENS:
        raise UsageError(
            f"--answer-tokens {max_tokens} is more than a bundle answers", f"give {MAX_ANSWER_TOKENS} at most"
        )
    file, settings = _configuration(folder)
    for name, neutral in _REFUSED.items():
        if settings.get(name) not in neutral:
            raise UsageError(
                f"{file} asks for {name} {json.dumps(settings[name])}, which the runtime does not follow",
                "take it out if answers without it serve",
            )
    first = settings.get("decoder_start_token_id")
    if start and first is not None and [first] != list(start):
        raise UsageError(
            f"{file} starts answers with token {json.dumps(first)}, the net with {start[0]}",
            f"let {_FILE} and config.json say the same decoder_start_token_id",
        )
    try:
        rules = _rules(settings, start)
        ends = _ids(settings.get("eos_token_id"))
        spec = AnswerSpec(max_tokens=max_tokens, end_ids=tuple(sorted({*own, *ends})), rules=rules)
    except (ValidationError, TypeError) as error:
        problem = first_problem(error) if isinstance(error, ValidationError) else str(error)
        raise UsageError(f"{file} can't be followed: {problem}", "get the checkpoint again") from error
    forced = rules.forced_bos_token_id if rules else None
    strange = [index for index in (*ends, forced) if index is not None and index >= vocabulary]
    if strange:
        raise UsageError(
            f"{file} begins or ends answers with token {strange[0]}, and the net has {vocabulary}",
            "get the checkpoint again, all of its files",
        )
    return spec, _not_followed(settings)


def _configuration(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Read the file that `generate` takes its defaults from, and its settings."""
    file = folder / _FILE
    if file.is_file():
        return file, read_json(file)
    config = read_config(folder)  # older checkpoints have the settings there
    text = config.get("text_config")
    parts = (text if isinstance(text, dict) else {}, config)
    return folder / "config.json", {k: v for part in parts for k, v in part.items() if v is not None}


def _rules(settings: dict[str, Any], start: tuple[int, ...]) -> TokenRules | None:
    """Read the rules of tokens; None if any token may come at any time.

    Raises ValidationError for a wrong one.
    """
    names = TokenRules.model_fields.keys() - {"start"}
    given = {name: settings[name] for name in names if settings.get(name) is not None}
    rules = TokenRules.model_validate_json(json.dumps(given))
    return None if rules == TokenRules() else rules.model_copy(update={"start": start})


def _ids(found: Any) -> list[int]:
    """Read one id, several, or none."""
    ids: list[Any] = found if isinstance(found, list) else [] if found is None else [found]
    if not all(isinstance(index, int) and not isinstance(index, bool) for index in ids):
        raise TypeError(f"eos_token_id {found!r} is not a token")
    return [index for index in ids if index >= 0]


def _not_followed(settings: dict[str, Any]) -> str:
    """Name the settings that change answers only if these are not greedy."""
    left: list[str] = []
    if (settings.get("num_beams") or 1) > 1:
        left.append(f"num_beams {settings['num_beams']}")
    if settings.get("do_sample"):
        left += [
            "do_sample",
            *(f"{name} {settings[name]}" for name in _SAMPLING if settings.get(name) is not None),
        ]
    if settings.get("forced_eos_token_id") is not None:
        left.append("forced_eos_token_id (an answer at its limit counts as cut off)")
    return ", ".join(left)
