"""A bundle: the folder that holds a model, read whole and verified before anything in it is deserialised.

`manifest.json` lists every file with its size and SHA-256. Each file is read once into memory, its bytes are
checked, and the engines get those very bytes: nothing can change in between. Large bundles keep the weights
that their graphs share in a file of its own, see `edge.bundle.weights`.
"""

import hashlib
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from edge.bundle.choice import AUTO, choose_here
from edge.bundle.files import (
    MANIFEST,
    REEXPORT,
    Content,
    read_file,
    read_weights,
    sha256_of,
    write_files,
)
from edge.bundle.manifest import SCHEMA_VERSION, FileInfo, Manifest, first_problem
from edge.bundle.weights import ROLE, Weights
from edge.errors import BundleRefused, UsageError, reason_of
from edge.files import foreign_json, whole_file
from edge.plugins import BUNDLES

SIGNATURE = "manifest.sig"  # not in the manifest, which it signs, see `edge.bundle.signing`
_MAX_MANIFEST_BYTES = 1_000_000
_MAX_SIGNATURE_BYTES = 1_000
_SUFFIXES = (".onnx", ".plan", ".json", ".safetensors", ".bin")  # files that engines read; never a pickle
_TEXTS = (".md", ".txt")  # for people
_CHECKPOINTS = ("config.json", "vla.json", "tiny.json")  # what the folder of a checkpoint holds
_REMOVE = "remove it, or get the bundle from a source that you trust"


@dataclass(frozen=True)
class Bundle:
    """A verified bundle with the bytes of its files; drop it once the engines are built."""

    manifest: Manifest
    contents: Mapping[str, Content]  # by role; a stage's plan is STAGE.plan; only "weights" are Weights
    sha256: str  # the manifest's, which covers every file
    chosen: str = ""  # why `auto` took this bundle; empty if the user named it
    engine: str = ""  # one of ENGINES that computes its ONNX graphs; empty: what its manifest is for

    def read(self, role: str) -> bytes:
        """Return the verified bytes of a stage or file. Raises BundleRefused if there is no such role."""
        if role not in self.contents:
            raise BundleRefused(f"bundle '{self.manifest.name}' has no {role}", REEXPORT)
        content = self.contents[role]
        if isinstance(content, Weights):
            raise TypeError("weights are not held as bytes: engines map their file")
        return content

    def origin(self) -> dict[str, str]:
        """Return name and sha256, an engine that was asked for, and the reason for one that nobody named."""
        more = {name: text for name in ("engine", "chosen") if (text := getattr(self, name))}
        return {"name": self.manifest.name, "sha256": self.sha256, **more}

    @property
    def weights(self) -> Weights | None:
        """The weights that the graphs share; None if each graph holds its own."""
        found = self.contents.get(ROLE)
        return found if isinstance(found, Weights) else None

    def release(self) -> None:
        """Free the weights: engines that are open keep theirs, but no more can be built."""
        if self.weights is not None:
            self.weights.close()


def file_info(file: str, content: Content) -> FileInfo:
    """Return the manifest's entry for a file with this content."""
    return FileInfo(file=file, bytes=len(content), sha256=sha256_of(content))


def make_bundle(manifest: Manifest, contents: Mapping[str, Content]) -> Bundle:
    """Return a bundle in memory. Raises BundleRefused if the contents are not those that it lists."""
    infos = _listed_files(manifest)
    if infos.keys() != contents.keys():
        raise BundleRefused(f"the manifest lists {sorted(infos)}, the contents are {sorted(contents)}")
    for role, info in infos.items():
        _check_content(info, contents[role])
    return Bundle(manifest, contents, hashlib.sha256(_manifest_bytes(manifest)).hexdigest())


def with_manifest(bundle: Bundle, manifest: Manifest) -> Bundle:
    """Return the bundle under another manifest, which lists the same files."""
    return replace(bundle, manifest=manifest, sha256=hashlib.sha256(_manifest_bytes(manifest)).hexdigest())


def write_bundle(folder: Path, bundle: Bundle) -> None:
    """Write a bundle so that `folder` is at all times absent, the old bundle, or the whole new one.

    Raises UsageError if it cannot be written.
    """
    listed = {info.file: bundle.contents[role] for role, info in _listed_files(bundle.manifest).items()}
    write_files(folder, {**listed, MANIFEST: _manifest_bytes(bundle.manifest)})


def load_bundle(
    name_or_folder: str | Path, *, whole: bool = False, allow_unproved: bool = False, engine: str = ""
) -> Bundle:
    """Find, read and verify a bundle: a folder, a name from the entry points `vla_edge.bundles`, or `auto`.

    If the bundle has plans, its ONNX graphs are read only with `whole`: twice the model may not fit into a
    Jetson's memory. With an `engine`, one of ENGINES, its graphs are read and no plans. Raises BundleRefused
    if the bundle is missing, cut short, altered, of an unknown version, or holds anything that the runtime
    does not read; and, without `allow_unproved`, if it failed the gate of its export.
    """
    auto = choose_here(engine) if str(name_or_folder) == AUTO else None
    folder = find_bundle(auto.name if auto else name_or_folder)
    _check_is_bundle(folder)
    _check_suffixes(folder)
    raw = read_file(folder / MANIFEST, _MAX_MANIFEST_BYTES)
    manifest = _parse_manifest(folder, raw)
    if manifest.unproved and not allow_unproved:
        raise BundleRefused(
            f"bundle '{manifest.name}' failed the gate of its export: {'; '.join(manifest.unproved)}",
            "export it in another precision; to try it all the same: --allow-unproved",
        )
    contents: dict[str, Content] = {}
    planned = {*manifest.plans, ROLE} if manifest.plans else set[str]()
    unread = {f"{stage}.plan" for stage in manifest.plans} if engine else planned
    for role, info in _listed_files(manifest).items():
        if whole or role not in unread:
            read = read_weights if role == ROLE else read_file
            contents[role] = read(folder / info.file, info.bytes)
            _check_content(info, contents[role])
    chosen = auto.reason if auto else ""
    return Bundle(manifest, contents, hashlib.sha256(raw).hexdigest(), chosen, engine)


def read_manifest(folder: Path) -> tuple[Manifest, bytes]:
    """Read a bundle's manifest and no other file; return it with its bytes.

    Raises BundleRefused as `load_bundle` does.
    """
    _check_is_bundle(folder)
    raw = read_file(folder / MANIFEST, _MAX_MANIFEST_BYTES)
    return _parse_manifest(folder, raw), raw


def load_with_manifest(folder: Path) -> tuple[Bundle, bytes]:
    """Load a bundle as `load_bundle` does; return it with the bytes of its manifest."""
    bundle, (_, raw) = load_bundle(folder), read_manifest(folder)
    if hashlib.sha256(raw).hexdigest() != bundle.sha256:
        raise BundleRefused(f"{folder} changed while it was read", "try again")
    return bundle, raw


def read_signature(folder: Path) -> bytes | None:
    """Return the bytes of a bundle's signature, None if it has none.

    Raises BundleRefused if the file can't be read or is too large.
    """
    if not os.path.lexists(folder / SIGNATURE):
        return None
    return read_file(folder / SIGNATURE, _MAX_SIGNATURE_BYTES)


def write_signature(folder: Path, signature: bytes) -> Path:
    """Write a signature into a bundle's folder, in place of an older one; return its file.

    Raises UsageError if it cannot be written.
    """
    file = folder / SIGNATURE
    try:
        # A kill leaves the temporary file behind: under this name it does not harm the bundle.
        with whole_file(file, sync=True, temporary=folder / f".{SIGNATURE}.txt") as new:
            new.write_bytes(signature)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from error
    return file


def parse_bundle(where: Path, files: Mapping[str, Content]) -> Bundle:
    """Return a bundle from the contents of its files by name; `where` is named in errors.

    Raises BundleRefused as `load_bundle` does, and if a file is missing or not listed.
    """
    raw = files.get(MANIFEST)
    if not isinstance(raw, bytes):
        raise BundleRefused(f"{where} lacks {MANIFEST}", REEXPORT)
    for name, limit_bytes in ((MANIFEST, _MAX_MANIFEST_BYTES), (SIGNATURE, _MAX_SIGNATURE_BYTES)):
        if len(files.get(name, b"")) > limit_bytes:
            raise BundleRefused(f"{name} in {where} is larger than {limit_bytes} bytes", REEXPORT)
    manifest = _parse_manifest(where, raw)
    listed = _listed_files(manifest)
    names = {info.file for info in listed.values()} | {MANIFEST}
    _check_names(where, manifest, files.keys())
    if names - files.keys():
        raise BundleRefused(f"{where} lacks {', '.join(sorted(names - files.keys()))}", REEXPORT)
    for info in listed.values():
        _check_content(info, files[info.file])
    contents = {role: files[info.file] for role, info in listed.items()}
    return Bundle(manifest, contents, hashlib.sha256(raw).hexdigest())


def check_folder(folder: Path, manifest: Manifest) -> None:
    """Check that a folder holds only the bundle's files and texts for people. Raises BundleRefused if not."""
    for path in folder.iterdir():
        if path.is_symlink() or not path.is_file():
            raise BundleRefused(f"{path} is not a regular file", _REMOVE)
    texts = {path.name for path in folder.iterdir() if path.suffix in _TEXTS}
    _check_names(folder, manifest, {path.name for path in folder.iterdir()} - texts)


def _check_names(where: Path, manifest: Manifest, names: Collection[str]) -> None:
    listed = {info.file for info in _listed_files(manifest).values()}
    unknown = sorted(set(names) - listed - {MANIFEST, SIGNATURE})
    if unknown:
        raise BundleRefused(f"{where} holds {unknown[0]!r}, which its manifest does not list", _REMOVE)


def bundle_names() -> list[str]:
    """Return the names of the installed bundles, and `auto`."""
    return sorted([AUTO, *BUNDLES.names()])


def find_bundle(name_or_folder: str | Path) -> Path:
    """Return the folder of a bundle; `auto` is an installed one. Raises BundleRefused if there is none."""
    folder, name = Path(name_or_folder), str(name_or_folder)
    if name == AUTO:
        name = choose_here().name  # what is measured here as the default must not be a folder that lies about
    elif folder.is_dir():
        return folder
    if name not in BUNDLES.names():
        raise BundleRefused(f"no bundle '{name}': neither a folder nor a known name", BUNDLES.hint(name))
    with BUNDLES.blaming(name):
        folder = Path(BUNDLES.open(name))
    if not folder.is_dir():
        raise BundleRefused(f"bundle '{name}' should be in {folder}, which is not there", REEXPORT)
    return folder


def _check_is_bundle(folder: Path) -> None:
    if (folder / MANIFEST).exists():
        return
    checkpoint = any((folder / name).is_file() for name in _CHECKPOINTS)
    hint = f"it is a checkpoint: `vla-edge export {folder} --out BUNDLE` makes a bundle of it"
    raise BundleRefused(
        f"{folder} is not a bundle: it has no {MANIFEST}", hint if checkpoint else BUNDLES.hint("")
    )


def _check_suffixes(folder: Path) -> None:
    for path in folder.iterdir():
        if path.suffix not in (*_SUFFIXES, *_TEXTS) and path.name != SIGNATURE:
            raise BundleRefused(
                f"{path} is not a file that a bundle may hold (only {', '.join(_SUFFIXES)})", _REMOVE
            )


def _parse_manifest(folder: Path, raw: bytes) -> Manifest:
    where = folder / MANIFEST
    try:
        document: object = foreign_json(raw)
    except ValueError as error:
        raise BundleRefused(f"{where} is not JSON: {reason_of(error)}", REEXPORT) from error
    version = cast("dict[str, Any]", document).get("schema_version") if isinstance(document, dict) else None
    if version != SCHEMA_VERSION:
        raise BundleRefused(
            f"{where} has schema version {version}, this runtime reads {SCHEMA_VERSION}",
            "export the bundle again with this version of vla-edge",
        )
    try:
        manifest = Manifest.model_validate_json(raw)
    except ValidationError as error:
        raise BundleRefused(f"{where}: {first_problem(error)}", REEXPORT) from error
    for role, info in _listed_files(manifest).items():
        if Path(info.file).suffix not in _SUFFIXES:
            raise BundleRefused(f"{where} lists {info.file}; only {', '.join(_SUFFIXES)} are read", REEXPORT)
        if (Path(info.file).suffix == ".bin") != (role == ROLE):
            raise BundleRefused(f"{where} lists {info.file} as {role}: .bin is for weights alone", REEXPORT)
    return manifest


def _listed_files(manifest: Manifest) -> dict[str, FileInfo]:
    plans = {f"{role}.plan": info for role, info in manifest.plans.items()}
    return {**manifest.files, **manifest.graphs, **plans}


def _check_content(info: FileInfo, content: Content) -> None:
    if len(content) != info.bytes:
        raise BundleRefused(f"{info.file} has {len(content)} bytes, the manifest says {info.bytes}", REEXPORT)
    if sha256_of(content) != info.sha256:
        raise BundleRefused(f"{info.file} was altered: its SHA-256 is not the manifest's", REEXPORT)


def _manifest_bytes(manifest: Manifest) -> bytes:
    return (manifest.model_dump_json(indent=2) + "\n").encode()
