"""Signatures of bundles: ed25519 over the manifest, which holds the SHA-256 of every file.

The signature's file is one line: "ed25519", the public key and the signature, both in hexadecimal. That key
shows only who claims to have signed; which keys are trusted is for the caller to decide.
"""

import os
import re
from pathlib import Path

from edge.errors import BundleRefused, UsageError

_LINE = re.compile(rb"ed25519 ([0-9a-f]{64}) ([0-9a-f]{128})\n")
_RESIGN = "get the bundle from a source that you trust, or sign it again"


def make_keys(private: Path, public: Path) -> str:
    """Write a new pair of keys as PEM files, the private one readable by its owner alone.

    Returns the public key in hexadecimal. Raises UsageError if either file is there: keys are never
    overwritten.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    for file in (private, public):
        if os.path.lexists(file):
            raise UsageError(f"{file} is there already", "name another file: nothing is written over")
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    known = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for file, content, mode in ((private, secret, 0o600), (public, known, 0o644)):
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        except OSError as error:
            raise UsageError(f"cannot write {file}: {error.strerror}") from error
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
    return key.public_key().public_bytes_raw().hex()


def sign(manifest: bytes, private: Path) -> bytes:
    """Return the content of a signature's file. Raises UsageError if `private` holds no private key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = _read_key(private)
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:  # TypeError: it has a password
        raise _no_key(private, "private") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(private, "private")
    public = key.public_key().public_bytes_raw().hex()
    return f"ed25519 {public} {key.sign(manifest).hex()}\n".encode()


def check_signature(manifest: bytes, signature: bytes, public: Path | None) -> str:
    """Return the public key, in hexadecimal, that signed these bytes.

    Raises BundleRefused if the signature is not over these bytes or not by the key in the file `public`, and
    UsageError if that file holds no public ed25519 key.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    wanted = _public_key(public) if public is not None else None
    match = _LINE.fullmatch(signature)
    if match is None:
        raise BundleRefused("the bundle's signature is damaged", _RESIGN)
    signer, signed = match[1].decode(), bytes.fromhex(match[2].decode())
    if wanted is not None and signer != wanted:
        raise BundleRefused(
            f"the bundle is signed by key {signer[:16]}…, wanted is {wanted[:16]}… of {public}", _RESIGN
        )
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(signer)).verify(signed, manifest)
    except (InvalidSignature, ValueError) as error:  # ValueError: the key is not a point of the curve
        raise BundleRefused(
            "the signature is not of this manifest: one of them was altered", _RESIGN
        ) from error
    return signer


def _public_key(file: Path) -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    content = _read_key(file)
    try:
        key = load_pem_public_key(content)
    except ValueError as error:
        raise _no_key(file, "public") from error
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(file, "public")
    return key.public_bytes_raw().hex()


def _read_key(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error


def _no_key(file: Path, kind: str) -> UsageError:
    return UsageError(
        f"{file} holds no {kind} ed25519 key", "`vla-edge bundle keygen NAME` makes a pair of keys"
    )
