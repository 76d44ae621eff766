"""The fields of a protobuf message, read without the protobuf package, which a robot does not have."""

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _GROUP, _GROUP_END, _FIXED32 = range(6)


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the whole numbers and the bytes of a message, with the numbers of their fields.

    A group's content is read as if it stood outside of the group; numbers of fixed size are left out.
    Raises IndexError if the message ends within a field or is not protobuf.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _BYTES:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise IndexError
            yield tag >> 3, message[at : at + length]
            at += length
        elif kind == _VARINT:
            value, at = _varint(message, at)
            yield tag >> 3, value
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        elif kind not in (_GROUP, _GROUP_END):
            raise IndexError


def parts(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield only the fields that hold bytes. Raises IndexError as `fields` does."""
    for number, value in fields(message):
        if isinstance(value, memoryview):
            yield number, value


def varints(packed: memoryview) -> Iterator[int]:
    """Yield the numbers of a packed field. Raises IndexError if it ends within one."""
    at = 0
    while at < len(packed):
        value, at = _varint(packed, at)
        yield value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the number that starts at `at`, and where the next field starts."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise IndexError
