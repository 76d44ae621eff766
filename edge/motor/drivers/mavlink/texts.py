"""What a base says in words (STATUSTEXT): warnings and errors, put together from their chunks."""

from collections import OrderedDict

from edge.motor.drivers.mavlink.stream import MavMessage, mav

RECENT_NS = 5_000_000_000  # older texts are about something else
MAX_TEXTS = 3  # the newest ones
MAX_CHUNKS = 5  # more of one text are not kept


class StatusTexts:
    """The newest texts. Times are CLOCK_MONOTONIC ns that the caller passes in."""

    def __init__(self) -> None:
        # Key: the id of a chunked text above zero, or a count below zero. Value: time heard, chunks.
        self._texts: OrderedDict[int, tuple[int, dict[int, bytes]]] = OrderedDict()
        self._count = 0

    def hear(self, message: MavMessage, now_ns: int) -> None:
        """Take a STATUSTEXT; what is less than a warning is left out."""
        if message.severity > mav.MAV_SEVERITY_WARNING:
            return
        self._count -= 1
        key = message.id or self._count
        chunks = self._texts.pop(key, (now_ns, {}))[1] if message.chunk_seq else {}
        if message.chunk_seq < MAX_CHUNKS:
            chunks[message.chunk_seq] = bytes(message._text_raw).partition(b"\0")[0]
        self._texts[key] = (now_ns, chunks)
        while len(self._texts) > 2 * MAX_TEXTS:
            self._texts.popitem(last=False)

    def recent(self, now_ns: int) -> str:
        """Return what was said in the last 5 s, each text once; empty if that is nothing."""
        texts = [
            _joined(chunks) for heard_ns, chunks in self._texts.values() if now_ns - heard_ns <= RECENT_NS
        ]
        return "; ".join(list(dict.fromkeys(filter(None, texts)))[-MAX_TEXTS:])


def _joined(chunks: dict[int, bytes]) -> str:
    """Return one text in printable characters; "…" stands for chunks that were lost."""
    parts: list[str] = []
    for at in range(max(chunks, default=-1) + 1):
        parts.append(chunks[at].decode(errors="replace") if at in chunks else "…")
    text = "".join(parts)
    return "".join(mark if mark.isprintable() else " " for mark in text).strip()
