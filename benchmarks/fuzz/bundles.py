"""Bundles of a hostile author: manifests, archives, graphs, tokenizers, signatures and figures of gates."""

import contextlib
import io
import json
import shutil
import stat
import struct
import zipfile
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.fuzz.mutate import mutated, mutated_json
from benchmarks.fuzz.target import ACCEPTED, Check, Flaw, FuzzTarget
from edge import cli
from edge.base_spec import DEFAULT_BASE
from edge.bundle.archive import unpack_bundle
from edge.bundle.bundle import find_bundle, load_bundle
from edge.bundle.files import MANIFEST
from edge.bundle.manifest import Manifest
from edge.bundle.parity import print_parity
from edge.bundle.signing import check_signature, make_keys, sign
from edge.model.tokenizer import model_tokenizer
from edge.policies.open import make_policy
from edge.records import CameraMount, Goal

_NAMES = ("default", "head", "token")
_REFUSED_CODES = (2, 5, 6)
_MOUNT = CameraMount(0.96, 0.35, 0.2, 0.12)
_WORDS = "find the red cup"


@lru_cache
def _document(name: str) -> dict[str, Any]:
    return json.loads((find_bundle(name) / MANIFEST).read_bytes())


# Manifests: everything else in the folder is good.


def make_manifest(rng: Random) -> bytes:
    """Make a manifest.json, behind a byte that names its bundle."""
    which = rng.randrange(len(_NAMES))
    return bytes((which,)) + mutated_json(rng, _document(_NAMES[which]))


def open_manifest(folder: Path) -> Check:
    """Return the check of a manifest: `bundle show`, `bundle verify`, and the policy of a run."""
    for name in _NAMES:
        shutil.copytree(find_bundle(name), folder / name)

    def check(data: bytes) -> str:
        name = _NAMES[data[0] % len(_NAMES)] if data else _NAMES[0]
        (folder / name / MANIFEST).write_bytes(data[1:])
        shown, verified = (_command("bundle", word, name) for word in ("show", "verify"))
        if verified == 0 and shown != 0:
            raise Flaw(f"verified, and not shown: {shown}")
        bundle = load_bundle(folder / name, allow_unproved=True)
        with make_policy(bundle, Goal("find_object", "cup"), _MOUNT, DEFAULT_BASE):
            return f"{ACCEPTED}, {'as it was' if data[1:] == _raw(name) else 'changed'}"

    return check


@lru_cache
def _raw(name: str) -> bytes:
    return (find_bundle(name) / MANIFEST).read_bytes()


def _command(*words: str) -> int:
    """Run a command in this process, without its output. Raises Flaw for an exit code of a bug."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(list(words))
    if code not in (0, *_REFUSED_CODES):
        raise Flaw(f"`vla-edge {' '.join(words)}` ends with {code}: {err.getvalue()[-400:]}")
    return code


# Archives: any zip, tar or noise.


@lru_cache
def _files() -> dict[str, bytes]:
    """Return the files of a small bundle without graphs."""
    document = {**_document("default"), "graphs": {}, "name": "small"}
    document["files"] = {}
    return {MANIFEST: (json.dumps(document) + "\n").encode()}


def make_archive(rng: Random) -> bytes:
    """Make an archive: one of the tricks, or a good one with its bytes changed."""
    files = dict(_files())
    infos = [(zipfile.ZipInfo(name), content) for name, content in files.items()]
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        infos.insert(rng.randrange(len(infos) + 1), _hostile_entry(rng))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive, contextlib.suppress(ValueError):
        for info, content in infos:
            archive.writestr(info, content)
    content = packed.getvalue()
    return mutated(rng, content) if rng.random() < 0.6 else _patched_sizes(rng, content)


def _hostile_entry(rng: Random) -> tuple[zipfile.ZipInfo, bytes]:
    name = rng.choice((
        "../out.json", "/tmp/out.json", "a/../../out.json", "a\\out.json", "C:\\out.json", ".", "..", "", " ",
        MANIFEST, MANIFEST.upper(), "manifest.json ", "manifest.sig", "weights.bin", "a\0b.json",
        "\u202e.json",
        "x" * 300 + ".json", "con.json", "a.json/", "~/.bashrc", "x.pkl",
    ))  # fmt: skip
    info = zipfile.ZipInfo("x")
    info.filename = info.orig_filename = name
    kinds = (stat.S_IFREG, stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFDIR, stat.S_IFSOCK, 0)
    info.external_attr = (rng.choice(kinds) | 0o4777) << 16
    content = rng.choice((b"/etc/passwd", b"", _files()[MANIFEST], rng.randbytes(50)))
    if rng.random() < 0.3:
        info.compress_type, content = zipfile.ZIP_DEFLATED, bytes(rng.choice((10, 30_000_000)))
    return info, content


def _patched_sizes(rng: Random, content: bytes) -> bytes:
    """Let one entry of the directory claim another size or offset."""
    changed, at = bytearray(content), content.find(b"PK\x01\x02")
    if at >= 0 and rng.random() < 0.7:
        field = at + rng.choice((20, 24, 42))  # packed size, size, offset
        struct.pack_into("<I", changed, field, rng.choice((0, 1, 2**31, 2**32 - 2, 2**32 - 1)))
    return bytes(changed)


def open_archive(folder: Path) -> Check:
    """Return the check of `bundle unpack`: the whole bundle, or nothing, and nothing elsewhere."""
    file, out = folder / "in" / "bundle.zip", folder / "out" / "bundle"
    for path in (file.parent, out.parent):
        path.mkdir()
    good = _files()

    def check(data: bytes) -> str:
        file.write_bytes(data)
        try:
            bundle = unpack_bundle(file, out)
        finally:
            left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path != file)
            written = [
                path for path in left if path not in ("in", "out") and not path.startswith("out/bundle")
            ]
            files = _contents(out) if out.exists() else {}
            shutil.rmtree(out, ignore_errors=True)
            if written:
                raise Flaw(f"written elsewhere: {written}")
        if {name: content for name, content in files.items() if name != "manifest.sig"} != good:
            raise Flaw(f"another bundle came out: {sorted(files)}, {bundle.sha256}")
        return ACCEPTED

    return check


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# The small files.


def make_tokenizer(rng: Random) -> bytes:
    """Make a tokenizer.json."""
    return mutated_json(rng, _tokenizer())


@lru_cache
def _tokenizer() -> dict[str, Any]:
    return json.loads((find_bundle("default") / "tokenizer.json").read_bytes())


def open_tokenizer(_: Path) -> Check:
    """Return the check of a tokenizer: a prompt to ids, and ids back."""
    manifest = Manifest.model_validate_json(_raw("default"))

    def check(data: bytes) -> str:
        tokenizer = model_tokenizer(manifest, data, 100)
        ids = tokenizer.prompt_ids(_WORDS)
        if any(not 0 <= each < 2**31 for each in ids):
            raise Flaw(f"ids {ids}")
        tokenizer.last_words(_WORDS, 2)
        return ACCEPTED

    return check


def make_signature(rng: Random) -> bytes:
    """Make a manifest.sig."""
    return mutated(rng, f"ed25519 {rng.randbytes(32).hex()} {rng.randbytes(64).hex()}\n".encode())


def open_signature(folder: Path) -> Check:
    """Return the check of a signature. Nothing but the real one may pass."""
    private, public = folder / "private.pem", folder / "public.pem"
    make_keys(private, public)
    raw = _raw("default")
    good = sign(raw, private)

    def check(data: bytes) -> str:
        check_signature(raw, data, public)
        if data != good:
            raise Flaw("a signature that nobody made")
        return ACCEPTED

    return check


def make_parity(rng: Random) -> bytes:
    """Make a parity.json."""
    return mutated_json(rng, _parity())


@lru_cache
def _parity() -> dict[str, Any]:
    return json.loads((find_bundle("default-int8") / "parity.json").read_bytes())


def open_parity(_: Path) -> Check:
    """Return the check of the tables of a gate."""
    from rich.console import Console

    def check(data: bytes) -> str:
        print_parity(data, Console(file=io.StringIO(), width=100))
        return ACCEPTED

    return check


TARGETS = {
    "manifest": FuzzTarget("manifest.json of a bundle", make_manifest, open_manifest, 20.0),
    "archive": FuzzTarget("bundle in one file", make_archive, open_archive),
    "tokenizer": FuzzTarget("tokenizer.json of a bundle", make_tokenizer, open_tokenizer, 10.0),
    "signature": FuzzTarget("manifest.sig", make_signature, open_signature),
    "parity": FuzzTarget("parity.json of a bundle", make_parity, open_parity),
}
