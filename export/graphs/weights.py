"""Weights of large graphs outside of their ONNX files, which end at 2 GB: in one file, each tensor once.

A `Graph` knows the store that its weights lie in; while torch modules are exported, `weights_in(store)` sets
it. In the end `gather` copies what the finished graphs refer to into a bundle's weights file.
"""

import errno
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edge.errors import UsageError

FILE = "weights.bin"
LEAST_BYTES = 64 << 10  # smaller tensors stay in their graph
_ALIGNMENT_BYTES = 64
_COPY_BYTES = 16 << 20
_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
_PACKED = (TensorProto.INT4, TensorProto.UINT4, TensorProto.FLOAT4E2M1)  # two numbers in a byte


class WeightStore:
    """A growing file of tensors in a folder of its own, each stored once however often it is put."""

    def __init__(self, folder: Path, least_bytes: int = LEAST_BYTES) -> None:
        """Begin a new file. Raises OSError if it can't."""
        self.file, self.least_bytes = folder / FILE, least_bytes
        self._end = 0
        self._offsets: dict[bytes, int] = {}  # by the digest of the content
        # Weights that `export.graphs.stream` need not fetch again, by their source and order of axes.
        self.fetched: dict[tuple[Any, Any], TensorProto] = {}
        self.file.touch(exist_ok=False)

    def put(self, name: str, array: np.ndarray) -> TensorProto:
        """Return the constant, its numbers in the file, or in itself if they are few.

        Raises OSError if the disk is full; the file is then as it was.
        """
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        if array.nbytes < self.least_bytes:
            return numpy_helper.from_array(array, name)
        if kind in _PACKED:
            content = memoryview(numpy_helper.from_array(array, name).raw_data)
        else:
            content = array.reshape(-1).view(np.uint8).data
        tensor = TensorProto(name=name, data_type=kind, dims=array.shape)
        refer(tensor, self._place(content), len(content))
        return tensor

    def read(self, tensor: TensorProto) -> np.ndarray:
        """Return the numbers of a constant that lies in the file, mapped; they must not be written to.

        They take no memory until they are read.
        """
        offset, length = byte_span(tensor)
        shape, dtype = tuple(tensor.dims), helper.tensor_dtype_to_np_dtype(tensor.data_type)
        if tensor.data_type in _PACKED:
            raw = np.fromfile(self.file, np.uint8, length, offset=offset).tobytes()
            return numpy_helper.to_array(TensorProto(data_type=tensor.data_type, dims=shape, raw_data=raw))
        return np.memmap(self.file, dtype, "r", offset, shape)

    def _place(self, content: memoryview) -> int:
        """Return the offset of the content, which is written if it is new."""
        digest = hashlib.sha256(content).digest()
        if digest not in self._offsets:
            start = -(-self._end // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
            with self.file.open("r+b", buffering=0) as file:
                try:
                    file.seek(start)
                    for at in range(0, len(content), _COPY_BYTES):
                        _write(file, content[at : at + _COPY_BYTES])
                except OSError:
                    file.truncate(self._end)
                    raise
            self._offsets[digest], self._end = start, start + len(content)
        return self._offsets[digest]


@contextmanager
def work_folder(out: Path) -> Iterator[Path]:
    """Return a folder beside `out` for an export's intermediate files; nothing of it stays.

    Raises UsageError if the disk is full.
    """
    parent = out.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=parent) as folder:
            yield Path(folder)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        free_bytes = shutil.disk_usage(parent).free
        raise UsageError(
            f"cannot write {out}: {error.strerror}, {free_bytes / 1e9:.1f} GB are free",
            "an export takes about six times the bytes of a bf16 checkpoint on its way: free some space",
        ) from error


_current: ContextVar[WeightStore | None] = ContextVar("weights", default=None)


@contextmanager
def weights_in(store: WeightStore | None) -> Iterator[None]:
    """Let torch modules be exported into this store; None: graphs hold their own weights."""
    token = _current.set(store)
    try:
        yield
    finally:
        _current.reset(token)


def current_store() -> WeightStore | None:
    """Return the store of `weights_in`, if any."""
    return _current.get()


def is_outside(tensor: TensorProto) -> bool:
    """Return True if a constant's numbers lie outside of its graph."""
    return tensor.data_location == TensorProto.EXTERNAL


def byte_span(tensor: TensorProto) -> tuple[int, int]:
    """Return the offset and length in bytes of a constant that lies outside."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    return int(entries["offset"]), int(entries["length"])


def refer(tensor: TensorProto, offset: int, length: int) -> None:
    """Make the constant one that lies outside, `length` bytes from `offset` on."""
    tensor.data_location = TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, value in (("location", FILE), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))


def outside(model: ModelProto) -> list[TensorProto]:
    """Return the constants of a model that lie outside of it."""
    return [tensor for tensor in model.graph.initializer if is_outside(tensor)]


def without_outside(model: ModelProto) -> ModelProto:
    """Return a copy with inputs in place of constants outside, for tools that would look for the file."""
    copy = ModelProto()
    copy.CopyFrom(model)
    tensors = outside(copy)
    inputs = [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in tensors]
    inside = [tensor for tensor in copy.graph.initializer if not is_outside(tensor)]
    del copy.graph.initializer[:]
    copy.graph.initializer.extend(inside)
    copy.graph.input.extend(inputs)
    return copy


def gather(models: Mapping[str, ModelProto], source: Path, target: Path) -> dict[str, bytes]:
    """Return the ONNX files of the models, by stage, with their weights copied to the new file `target`.

    Each tensor is copied once, and nothing else. Raises OSError if the disk is full.
    """
    moved: dict[tuple[int, int], int] = {}
    changed: dict[str, bytes] = {}
    with source.open("rb") as old, target.open("xb", buffering=0) as new:
        for stage, given in models.items():
            model = ModelProto()
            model.CopyFrom(given)
            for tensor in outside(model):
                offset, length = byte_span(tensor)
                if (offset, length) not in moved:
                    start = -(-new.tell() // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
                    old.seek(offset)
                    new.seek(start)
                    for at in range(0, length, _COPY_BYTES):
                        _write(new, memoryview(old.read(min(_COPY_BYTES, length - at))))
                    moved[offset, length] = start
                refer(tensor, moved[offset, length], length)
            changed[stage] = model.SerializeToString()
    return changed


def referred_bytes(graph: bytes) -> int:
    """Return the bytes outside of an ONNX file that it refers to, each tensor counted once."""
    return sum(length for _, length in {byte_span(t) for t in outside(onnx.load_from_string(graph))})


def _write(file: IO[bytes], content: memoryview) -> None:
    """Write all of it: an unbuffered file may take less at once."""
    while content:
        content = content[file.write(content) :]
