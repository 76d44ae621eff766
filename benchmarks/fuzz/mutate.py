"""Good inputs made bad: bytes, JSON and texts that are changed at random, all from one `Random`."""

import json
from random import Random
from typing import Any

_NUMBERS = (0, -1, 1, 255, 2**31, 2**32 - 1, 2**63, -(2**63), 10**18)
# Literals that `json.dumps` does not write, each behind a mark that stands for it.
_LITERALS = {
    "nan": "NaN",
    "inf": "-Infinity",
    "huge": "1e999",
    "digits": "9" * 5000,
    "long": "1" + "0" * 400,
    "deep": "[" * 3000 + "]" * 3000,
    "open": "[" * 100_000,
    "maps": '{"a":' * 3000 + "1" + "}" * 3000,
    "twice": '{"file": "a", "file": "b"}',
    "surrogate": '"\\ud800"',
}
_TEXTS = (
    "", ".", "..", "../../../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "a\0b", "\n", "{0.__class__}",
    "{chunk_index:>99999999}", "%s%s%n", "auto", "\u202e", "가", "x" * 5000, "manifest.json", "MANIFEST.JSON",
)  # fmt: skip


def mutated(rng: Random, data: bytes, rounds: int = 4) -> bytes:
    """Return bytes with a few of them cut, flipped, doubled, moved or replaced."""
    changed = bytearray(data)
    for _ in range(rng.randrange(1, rounds + 1)):
        at = rng.randrange(len(changed) + 1)
        kind = rng.randrange(7)
        if kind == 0:
            del changed[at:]
        elif kind == 1:
            del changed[at : at + rng.randrange(1, 64)]
        elif kind == 2:
            changed[at:at] = rng.randbytes(rng.randrange(1, 16))
        elif kind == 3:
            changed[at:at] = changed[at : at + rng.randrange(1, 200)]
        elif kind == 4:
            value = rng.choice(_NUMBERS) % 2**64
            changed[at : at + 8] = value.to_bytes(8, rng.choice(("little", "big")))
        elif kind == 5:
            changed[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"))
        elif at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed)


def mutated_json(rng: Random, document: Any) -> bytes:
    """Return JSON with some values, keys or literals replaced by hostile ones; at times cut or flipped."""
    copy = json.loads(json.dumps(document))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        copy = _replaced(rng, copy)
    text = json.dumps(copy, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 1)))
    for mark, literal in _LITERALS.items():
        text = text.replace(f'"@{mark}@"', literal)
    content = text.encode(errors="surrogatepass")
    return mutated(rng, content, 2) if rng.random() < 0.15 else content


def hostile_value(rng: Random) -> Any:
    """Return a value that JSON holds, or the mark of a literal that only `mutated_json` can write."""
    kind = rng.randrange(6)
    if kind == 0:
        return rng.choice(_NUMBERS)
    if kind == 1:
        return f"@{rng.choice(list(_LITERALS))}@"
    if kind == 2:
        return rng.choice(_TEXTS)
    if kind == 3:
        return rng.choice((None, True, False, [], {}, [[]], {"": None}, 0.5, -0.0, 1e308))
    if kind == 4:
        return [hostile_value(rng) for _ in range(rng.randrange(4))]
    return {rng.choice(_TEXTS): hostile_value(rng)}


def _replaced(rng: Random, value: Any) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        kind = rng.random()
        if kind < 0.05:
            del value[key]
        elif kind < 0.1:
            value[rng.choice(_TEXTS)] = hostile_value(rng)
        elif kind < 0.15:
            value[str(rng.choice(_TEXTS))] = value.pop(key)
        else:
            value[key] = _replaced(rng, value[key])
        return value
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        kind = rng.random()
        if kind < 0.1:
            del value[at]
        elif kind < 0.2:
            value[at:at] = [value[at]] * rng.choice((1, 1, 5, 5000))
        else:
            value[at] = _replaced(rng, value[at])
        return value
    if isinstance(value, (int, float)) and rng.random() < 0.5:
        return rng.choice((value + 1, -value, value * 1000, value * 10**12, 0))
    return hostile_value(rng)
