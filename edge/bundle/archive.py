"""A bundle as one file to carry: an uncompressed zip of its manifest, files and signature.

The same bundle gives the same bytes. Unpacking gives a whole, verified bundle or nothing.
"""

import os
import shutil
import stat
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

from edge.bundle.bundle import (
    MANIFEST,
    SIGNATURE,
    Bundle,
    load_with_manifest,
    parse_bundle,
    read_signature,
)
from edge.bundle.files import Content, write_files
from edge.bundle.weights import Weights
from edge.errors import BundleRefused, UsageError, reason_of, write_hint
from edge.files import whole_file

_WEIGHTS = ".bin"  # the one file of a bundle that may be large
_COPY_BYTES = 4 << 20
_STAMP = (1980, 1, 1, 0, 0, 0)  # zip's earliest time: when a bundle was packed is not part of it
# zipfile raises these at bytes that it cannot read; RuntimeError if they seem encrypted or too new.
_NO_ZIP = (zipfile.BadZipFile, EOFError, ValueError, OverflowError, RuntimeError, struct.error)
_UNZIPPED = "get the file again; `vla-edge bundle pack` makes such files"


def pack_bundle(folder: Path, out: Path) -> Bundle:
    """Verify the bundle in `folder` and write it to the file `out`. Texts for people stay behind.

    Raises BundleRefused as `load_bundle` does, and UsageError if `out` is there or cannot be written; nothing
    is left of it then.
    """
    _check_absent(out)
    bundle, raw = load_with_manifest(folder)
    signature = read_signature(folder)
    infos = {**bundle.manifest.files, **bundle.manifest.graphs}
    files: dict[str, Content] = {MANIFEST: raw}
    files |= {info.file: bundle.contents[role] for role, info in infos.items()}
    if signature is not None:
        files[SIGNATURE] = signature
    try:
        _write_zip(out, files)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}", write_hint(error)) from error
    return bundle


def unpack_bundle(file: Path, folder: Path) -> Bundle:
    """Verify the bundle in a file of `pack_bundle` and write it to `folder`.

    Raises BundleRefused if it is cut short, altered, or holds anything besides the files of a bundle, and
    UsageError if `folder` is there or cannot be written; nothing is left of it then.
    """
    _check_absent(folder)
    files = _read_zip(file)
    bundle = parse_bundle(file, files)
    write_files(folder, files)
    return bundle


def _check_absent(path: Path) -> None:
    if os.path.lexists(path):
        raise UsageError(f"{path} is there already", "name another file: nothing is written over")


def _write_zip(out: Path, files: Mapping[str, Content]) -> None:
    with whole_file(out, sync=True) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
        for file, content in files.items():
            info = zipfile.ZipInfo(file, _STAMP)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            if isinstance(content, Weights):
                info.file_size = len(content)  # so that zip knows how wide its fields must be
                with content.file.open("rb") as source, archive.open(info, "w") as entry:
                    shutil.copyfileobj(source, entry, _COPY_BYTES)
            else:
                archive.writestr(info, content)


def _read_zip(file: Path) -> dict[str, Content]:
    """Return the files by name, in memory: no more bytes than the zip itself has."""
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            for info in infos:
                _check_entry(file, info)
            # Stored entries that lie over each other would be read more than once.
            if sum(info.file_size for info in infos) > file.stat().st_size:
                raise BundleRefused(f"{file} holds more than its own size", _UNZIPPED)
            if len({info.filename for info in infos}) < len(infos):
                raise BundleRefused(f"{file} holds a name twice", _UNZIPPED)
            return {info.filename: _content(archive, info) for info in infos}
    except _NO_ZIP as error:
        raise BundleRefused(
            f"{file} is not a zip file, or is cut short or damaged: {reason_of(error)}", _UNZIPPED
        ) from error
    except OSError as error:  # also if it seeks to before the file
        raise BundleRefused(f"cannot read {file}: {reason_of(error)}", _UNZIPPED) from error


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Content:
    if not info.filename.endswith(_WEIGHTS):
        return archive.read(info)
    with archive.open(info) as source:
        return Weights.copied(source, info.filename, info.file_size)


def _check_entry(file: Path, info: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    plain = kind in (0, stat.S_IFREG) and "/" not in info.filename and "\\" not in info.filename
    if not plain or info.filename in ("", ".", "..") or info.orig_filename != info.filename:
        raise BundleRefused(
            f"{file} holds {info.filename!r}, which is not a plain file of a bundle", _UNZIPPED
        )
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.compress_size != info.file_size:
        raise BundleRefused(f"{file} holds {info.filename!r} compressed or encrypted", _UNZIPPED)
