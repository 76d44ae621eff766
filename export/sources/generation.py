"""What a checkpoint's generation_config.json says of its answers: what a bundle honours, and the rest."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edge.bundle.manifest import MAX_ANSWER_TOKENS, AnswerSpec, TokenRules, first_problem
from edge.bundle.published import read_config, read_json
from edge.errors import UsageError

NOT_FOLLOWED = "not_followed"  # key of the provenance: what answers don't follow of the configuration
_FILE = "generation_config.json"
# What would change the most probable answer, and the runtime does not do; each with what stands for "not".
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
# Only of samples.
_SAMPLING = ("temperature", "top_k", "top_p", "top_h", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")


def answer_spec(
    folder: Path, max_tokens: int, own: set[int], start: tuple[int, ...], vocabulary: int
) -> tuple[AnswerSpec, str]:
    """How a model of `vocabulary` words answers, and what of its configuration is not followed, in words.

    `own` are the family's own ends of an answer, `start` what a decoder with an encoder goes on from. Raises
    UsageError where what is said depends on something that the runtime does not do.
    """
    if max_tokens > MAX_ANSWER_TOKENS:
        raise UsageError(
            f"--answer-tokens {max_tokens} is more than a bundle answers", f"give {MAX_ANSWER_TOKENS} at most"
        )
    file, said = _configuration(folder)
    for name, neutral in _REFUSED.items():
        if said.get(name) not in neutral:
            raise UsageError(
                f"{file} asks for {name} {json.dumps(said[name])}, which the runtime does not do",
                "take it out where answers without it serve",
            )
    first = said.get("decoder_start_token_id")
    if start and first is not None and [first] != list(start):
        raise UsageError(
            f"{file} starts answers with token {json.dumps(first)}, the net with {start[0]}",
            f"let {_FILE} and config.json say the same decoder_start_token_id",
        )
    try:
        rules = _rules(said, start)
        ends = _ids(said.get("eos_token_id"))
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
    return spec, _not_followed(said)


def _configuration(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The file that `generate` takes its defaults from, and what is said there."""
    file = folder / _FILE
    if file.is_file():
        return file, read_json(file)
    config = read_config(folder)  # where older checkpoints have it
    text = config.get("text_config")
    parts = (text if isinstance(text, dict) else {}, config)
    return folder / "config.json", {k: v for part in parts for k, v in part.items() if v is not None}


def _rules(said: dict[str, Any], start: tuple[int, ...]) -> TokenRules | None:
    """None where any token may be said at any time. Raises ValidationError for what is no rule."""
    names = TokenRules.model_fields.keys() - {"start"}
    given = {name: said[name] for name in names if said.get(name) is not None}
    rules = TokenRules.model_validate_json(json.dumps(given))
    return None if rules == TokenRules() else rules.model_copy(update={"start": start})


def _ids(found: Any) -> list[int]:
    """One id, several, or none."""
    ids: list[Any] = found if isinstance(found, list) else [] if found is None else [found]
    if not all(isinstance(index, int) and not isinstance(index, bool) for index in ids):
        raise TypeError(f"eos_token_id {found!r} is no token")
    return [index for index in ids if index >= 0]


def _not_followed(said: dict[str, Any]) -> str:
    """What changes answers only in ways that greedy ones do not know."""
    left: list[str] = []
    if (said.get("num_beams") or 1) > 1:
        left.append(f"num_beams {said['num_beams']}")
    if said.get("do_sample"):
        left += ["do_sample", *(f"{name} {said[name]}" for name in _SAMPLING if said.get(name) is not None)]
    if said.get("forced_eos_token_id") is not None:
        left.append("forced_eos_token_id (an answer at its limit counts as cut off)")
    return ", ".join(left)
