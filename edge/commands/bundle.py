"""`vla-edge bundle ...`: verify, show, sign and carry bundles."""

from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands.arguments import ArgumentParser
from edge.commands.output import print_json
from edge.errors import BundleRefused, UsageError

if TYPE_CHECKING:
    from edge.bundle.manifest import GraphInfo, Manifest, TensorInfo

# edge.bundle.bundle is imported by each command: --help answers without it.


def verify(argv: list[str]) -> int:
    """Check that every file is there and as the manifest has it, and nothing else; and who signed it."""
    parser = ArgumentParser("bundle verify", "Check schema, sizes, SHA-256, foreign files, signature.")
    parser.add_argument("bundle", help="a bundle's folder or name")
    parser.add_argument("--key", type=Path, help="PEM file of the public key that must have signed it")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(argv)
    from edge.bundle.bundle import check_folder, find_bundle, load_with_manifest, read_signature

    folder = find_bundle(args.bundle)
    bundle, raw = load_with_manifest(folder)
    check_folder(folder, bundle.manifest)
    signature, key = read_signature(folder), None
    if signature is not None:
        from edge.bundle.signing import check_signature

        key = check_signature(raw, signature, args.key)
    elif args.key is not None and not Path(args.key).is_file():
        raise UsageError(f"there is no key {args.key}", "`vla-edge bundle keygen` makes a pair of keys")
    elif args.key is not None:
        raise BundleRefused(
            f"{folder} is not signed, and a signature by the key in {args.key} is demanded",
            "`vla-edge bundle sign` signs it",
        )
    size = sum(map(len, bundle.contents.values()))
    if args.json:
        document = {
            "name": bundle.manifest.name,
            "files": len(bundle.contents),
            "bytes": size,
            "sha256": bundle.sha256,
            "signed_by": key,
            "key_demanded": args.key is not None,
        }
        print_json(document)
        return 0
    print(f"{folder}: whole; {len(bundle.contents)} files, {size / 1e6:.1f} MB, sha256 {bundle.sha256}")
    if key is None:
        print("not signed")
    elif args.key is None:
        print(f"signed by ed25519 {key}; whose key that is, --key PUBLIC.pem would check")
    else:
        print(f"signed by the key in {args.key}")
    return 0


def show(argv: list[str]) -> int:
    """Show a bundle's manifest, or what the gate of its export measured."""
    parser = ArgumentParser("bundle show", "Show a bundle's manifest; its files are not verified.")
    parser.add_argument("bundle", help="a bundle's folder or name")
    parser.add_argument("--parity", action="store_true", help="show what its gate measured, verified")
    parser.add_argument("--json", action="store_true", help="print the whole manifest with its sha256")
    args = parser.parse_args(argv)
    if args.parity:
        return _show_parity(args.bundle, args.json)
    import hashlib

    from edge.bundle.bundle import SIGNATURE, find_bundle, read_manifest, read_signature

    folder = find_bundle(args.bundle)
    manifest, raw = read_manifest(folder)
    digest, signature = hashlib.sha256(raw).hexdigest(), read_signature(folder)
    if args.json:
        document = manifest.model_dump(mode="json")
        document = {**document, "sha256": digest, "folder": str(folder), "signed": signature is not None}
        print_json(document)
        return 0
    _print_manifest(manifest)
    print(f"sha256      {digest}")
    print(f"signature   {SIGNATURE if signature is not None else 'none'}")
    return 0


def _show_parity(bundle: str, as_json: bool) -> int:
    from edge.bundle.bundle import load_bundle
    from edge.bundle.parity import print_parity

    found = load_bundle(bundle, allow_unproved=True)
    if "parity" not in found.contents:
        raise BundleRefused(
            f"bundle '{found.manifest.name}' has no parity.json: no gate has measured it",
            "only bundles that `vla-edge export --precision` made have one",
        )
    if as_json:
        print(found.read("parity").decode(), end="")
    else:
        print_parity(found.read("parity"))
    return 0


def _print_manifest(manifest: "Manifest") -> None:
    image, words = manifest.image, manifest.vocabulary
    print(f"{manifest.name}: {manifest.family}, a {manifest.policy} policy, for {manifest.target.engine}")
    print(f"goals       {', '.join(manifest.goals)}")
    for goal, prompt in manifest.prompts.items():
        print(f"prompt      {goal}: {prompt!r}")
    print(f"targets     {', '.join(words.kinds) or 'any words'}")
    floor = f", its floor net {manifest.floor_domain}" if manifest.floor_domain else ""
    print(f"has seen    {manifest.domain or 'not stated'}{floor}")
    if manifest.answer is not None:
        rules = manifest.answer.rules
        limits = "" if rules is None else f", {', '.join(rules.model_dump(exclude_defaults=True))}"
        print(f"answer      in open words, at most {manifest.answer.max_tokens} tokens{limits}")
    if manifest.chat is not None:
        chat = manifest.chat
        print(f"chat        {chat.before!r}, the picture, {chat.between!r}, the words, {chat.after!r}")
    if words.colours:
        print(f"colours     {', '.join(words.colours)}")
    print(f"image       {image.width} x {image.height} px, {image.resize}, {image.fit}")
    if manifest.head is not None:
        head = manifest.head
        print(
            f"head        {head.kind}, {head.horizon} x {', '.join(head.columns)} at {head.rate_hz:g} Hz, "
            f"history {head.history} of {head.window}"
        )
    for role, graph in manifest.graphs.items():
        apart = f" and {graph.weights_bytes / 1e6:.1f} MB of the weights" if graph.weights_bytes else ""
        print(f"graph       {role}: {graph.file}, {graph.precision}, {graph.bytes / 1e6:.1f} MB{apart}")
        for line in _tensors(graph):
            print(f"            {line}")
    for role, info in manifest.files.items():
        print(f"file        {role}: {info.file}, {info.bytes / 1e6:.1f} MB")
    for name, value in manifest.parity.items():
        print(f"parity      {name}: {value:g}")
    for name, text in manifest.provenance.items():
        print(f"provenance  {name}: {text}")


def _tensors(graph: "GraphInfo") -> list[str]:
    def line(way: str, tensor: "TensorInfo") -> str:
        return f"{way} {tensor.name} {tensor.dtype} {' x '.join(map(str, tensor.shape))}"

    return [*(line("in ", each) for each in graph.inputs), *(line("out", each) for each in graph.outputs)]


def keygen(argv: list[str]) -> int:
    """Make a pair of keys."""
    parser = ArgumentParser(
        "bundle keygen", "Make an ed25519 pair: NAME.private.pem to sign with, NAME.public.pem to give."
    )
    parser.add_argument("name", metavar="NAME", help="path and name of both files, without their endings")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(argv)
    from edge.bundle.signing import make_keys

    private, public = Path(f"{args.name}.private.pem"), Path(f"{args.name}.public.pem")
    key = make_keys(private, public)
    if args.json:
        print_json({"private": str(private), "public": str(public), "key": key})
    else:
        print(f"{private}: keep it secret; whoever has it can sign\n{public}: ed25519 {key}")
    return 0


def sign(argv: list[str]) -> int:
    """Sign a bundle, after it was verified."""
    parser = ArgumentParser(
        "bundle sign", "Verify a bundle, then sign its manifest, which has every file's SHA-256."
    )
    parser.add_argument("bundle", type=Path, help="a bundle's folder")
    parser.add_argument("--key", type=Path, required=True, help="PEM file of the private key")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(argv)
    from edge.bundle.bundle import (
        bundle_names,
        check_folder,
        find_bundle,
        load_with_manifest,
        write_signature,
    )
    from edge.bundle.signing import check_signature
    from edge.bundle.signing import sign as sign_bytes

    if not args.bundle.is_dir():
        if str(args.bundle) in bundle_names():
            raise UsageError(
                f"'{args.bundle}' is the name of an installed bundle; "
                "only a folder of your own can be signed",
                f"copy it, and sign the copy: cp -r {find_bundle(args.bundle)} my-{args.bundle}; "
                f"vla-edge bundle sign my-{args.bundle} --key {args.key}",
            )
        raise UsageError(f"{args.bundle} is not a folder", "give the path of a bundle's folder")
    bundle, raw = load_with_manifest(args.bundle)
    check_folder(args.bundle, bundle.manifest)
    signature = sign_bytes(raw, args.key)
    file = write_signature(args.bundle, signature)
    key = check_signature(raw, signature, None)
    document = {"signature": str(file), "sha256": bundle.sha256, "key": key}
    print_json(document) if args.json else print(f"{file}: signed by ed25519 {key}")
    return 0


def pack(argv: list[str]) -> int:
    """Pack a bundle into one file."""
    parser = ArgumentParser("bundle pack", "Verify a bundle and pack it with its signature, not compressed.")
    parser.add_argument("bundle", help="a bundle's folder or name")
    parser.add_argument("out", type=Path, metavar="OUT.zip", help="file to write")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(argv)
    from edge.bundle.archive import pack_bundle
    from edge.bundle.bundle import find_bundle

    bundle = pack_bundle(find_bundle(args.bundle), args.out)
    return _print_packed(args.out, bundle.sha256, args.out.stat().st_size, args.json)


def unpack(argv: list[str]) -> int:
    """Unpack one file into a bundle."""
    parser = ArgumentParser("bundle unpack", "Verify a packed bundle and unpack it, whole or not at all.")
    parser.add_argument("file", type=Path, metavar="FILE.zip", help="what `bundle pack` wrote")
    parser.add_argument("out", type=Path, metavar="FOLDER", help="folder of the bundle")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(argv)
    from edge.bundle.archive import unpack_bundle

    bundle = unpack_bundle(args.file, args.out)
    return _print_packed(args.out, bundle.sha256, sum(map(len, bundle.contents.values())), args.json)


def _print_packed(out: Path, sha256: str, size_bytes: int, as_json: bool) -> int:
    if as_json:
        print_json({"out": str(out), "bytes": size_bytes, "sha256": sha256})
    else:
        print(f"{out}: {size_bytes / 1e6:.1f} MB, sha256 {sha256}")
    return 0
