"""The rules in a checkpoint's generation_config.json for which token may come next.

Each rule, and their order, is that of transformers' logits processors in `generate` without sampling.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from edge.bundle.manifest import AnswerSpec, TokenRules

Logits = NDArray[np.float32]
_NEVER = -np.inf


def ruled(logits: Logits, seen: Sequence[int], given: int, spec: AnswerSpec) -> Logits:
    """Return the next token's logits (V,) under the rules: minus infinity for tokens that may not come.

    `seen` are all ids before it; the first `given` of them were not generated.
    """
    rules = spec.rules
    if rules is None:
        return logits
    left: Logits = np.array(logits)
    _penalise(left, seen, rules.repetition_penalty)
    banned = [*_repeated(seen, rules.no_repeat_ngram_size), *_bad(seen, rules, spec.end_ids)]
    if len(seen) < max(rules.min_length, given + rules.min_new_tokens):
        banned += spec.end_ids
    _ban(left, banned)
    if rules.forced_bos_token_id is not None and len(seen) == 1:
        left[:] = _NEVER
        left[rules.forced_bos_token_id] = 0
    _ban(left, rules.suppress_tokens)
    forced_first = given == 1 and rules.forced_bos_token_id is not None
    if len(seen) == given + forced_first:
        _ban(left, rules.begin_suppress_tokens)
    return left


def _penalise(left: Logits, seen: Sequence[int], penalty: float) -> None:
    """Make each id that was seen less probable, once however often it was seen."""
    ids = np.unique([token for token in seen if token < len(left)]).astype(np.int64)
    left[ids] = np.where(left[ids] < 0, left[ids] * penalty, left[ids] / penalty)


def _repeated(seen: Sequence[int], size: int) -> list[int]:
    """Return the ids that would complete a row of `size` ids that was seen before."""
    if not size or len(seen) < size:
        return []
    last = list(seen[len(seen) - size + 1 :])
    ends = range(size - 1, len(seen))
    return [seen[end] for end in ends if list(seen[end - size + 1 : end]) == last]


def _bad(seen: Sequence[int], rules: TokenRules, ends: Sequence[int]) -> list[int]:
    """Return the ids that would complete a bad word; an end token alone is not a bad word."""
    banned: list[int] = []
    for word in rules.bad_words_ids:
        *begun, last = word
        if (begun or last not in ends) and list(seen[len(seen) - len(begun) :]) == begun:
            banned.append(last)
    return banned


def _ban(left: Logits, ids: Iterable[int]) -> None:
    left[[token for token in ids if token < len(left)]] = _NEVER
