"""Texts that hypothesis composes: `python -m benchmarks.fuzz.by_hypothesis N`."""

import sys
import time
from collections import Counter

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from benchmarks.fuzz.target import outcome
from benchmarks.fuzz.texts import BASES, FAMILIES, NO_WORDS, WORDS, check

A_DRAW = 50  # texts that hypothesis draws at once: a draw costs more than a text does

_numbers = st.one_of(st.integers(-2000, 2000), st.floats(), st.integers()).map(str)
_words = st.lists(st.one_of(st.sampled_from(WORDS), _numbers), max_size=10).map(" ".join)
_tokens = st.lists(st.integers(0, 1100), max_size=9).map(lambda n: "".join(f"<loc{i:04d}>" for i in n))
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), _numbers, _words.map(lambda text: f'"{text}"')),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda each: f"[{', '.join(map(str, each))}]"),
        st.dictionaries(st.sampled_from(("action", "linear_x", "target", "bbox_2d", "label")), inner).map(
            lambda pairs: "{" + ", ".join(f'"{key}": {value}' for key, value in pairs.items()) + "}"
        ),
    ),
    max_leaves=6,
).map(str)
_asked = st.one_of(_words, _words, _json, st.tuples(_tokens, _words).map("".join), st.text(max_size=60))
_garbage = st.one_of(st.text(NO_WORDS, max_size=80), _tokens)
TEXTS = st.lists(
    st.one_of(
        st.tuples(st.integers(0, len(BASES) - 1), st.integers(0, len(FAMILIES) - 1), _asked),
        st.tuples(st.integers(0, len(BASES) - 1), st.just(0), _garbage),
    ).map(lambda parts: bytes(parts[:2]) + parts[2].encode(errors="surrogatepass")),
    min_size=A_DRAW,
    max_size=A_DRAW,
)


def main(count: int) -> None:
    """Check at least `count` texts. A flaw is raised, made as small as hypothesis can."""
    kinds: Counter[str] = Counter()

    @seed(1)
    @settings(
        max_examples=-(-count // A_DRAW),
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(TEXTS)
    def try_texts(texts: list[bytes]) -> None:
        kinds.update(outcome(check, text) for text in texts)

    start = time.perf_counter()
    try_texts()
    rate = kinds.total() / (time.perf_counter() - start)
    print(f"parser by hypothesis: {kinds.total()} inputs, {dict(kinds)}, {rate:.0f} inputs/s")


if __name__ == "__main__":
    main(int(sys.argv[1]))
