"""`vla-edge bundle ...`: what it says of whole bundles, and how it refuses all others."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import cli
from edge.bundle.bundle import load_bundle, write_bundle
from edge.bundle.signing import check_signature, make_keys, sign
from edge.errors import BundleRefused
from tests.edge.model.open_bundles import open_bundle


@pytest.fixture
def folder(tiny_bundle: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_bundle, copy)
    return copy


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two pairs of keys: ours and theirs."""
    place = tmp_path_factory.mktemp("keys")
    for name in ("ours", "theirs"):
        assert cli.main(["bundle", "keygen", str(place / name)]) == 0
    return place


def run(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli.main(["bundle", *map(str, argv)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def flip(file: Path, place: int = -1) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


def test_a_whole_bundle_is_verified(folder: Path, capsys):
    code, out, _ = run(capsys, "verify", folder)
    assert code == 0 and load_bundle(folder).sha256 in out and "not signed" in out
    assert json.loads(run(capsys, "verify", folder, "--json")[1])["signed_by"] is None


@pytest.mark.parametrize("name", ["default", "default-int8", "head", "token"])
def test_what_ships_is_whole(name: str, capsys):
    code, out, _ = run(capsys, "verify", name)
    assert code == 0 and "whole" in out


def test_int8_was_made_of_the_default_that_ships_and_passed_its_gate():
    default, int8 = load_bundle("default"), load_bundle("default-int8")
    assert int8.manifest.provenance["fp32_sha256"] == default.sha256
    assert int8.manifest.provenance["weights_sha256"] == default.manifest.provenance["weights_sha256"]
    assert json.loads(int8.read("parity"))["failures"] == [] and not int8.manifest.unproved


def test_a_signed_bundle_is_verified_and_still_loads(folder: Path, keys: Path, capsys):
    assert run(capsys, "sign", folder, "--key", keys / "ours.private.pem")[0] == 0
    code, out, _ = run(capsys, "verify", folder, "--key", keys / "ours.public.pem")
    assert code == 0 and "signed by the key in" in out
    code, out, _ = run(capsys, "verify", folder)
    assert code == 0 and "whose key that is" in out
    assert load_bundle(folder).manifest.name == "tiny"
    # Signing again replaces the signature.
    assert run(capsys, "sign", folder, "--key", keys / "theirs.private.pem")[0] == 0
    assert run(capsys, "verify", folder, "--key", keys / "theirs.public.pem")[0] == 0


def truncate(folder: Path) -> None:
    file = folder / "decode.onnx"
    file.write_bytes(file.read_bytes()[:-1])


def other_schema(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 99}))


def stranger_of_a_known_kind(folder: Path) -> None:
    (folder / "extra.onnx").write_bytes(b"x")


def folder_inside(folder: Path) -> None:
    (folder / "more.json").mkdir()


def linked_text(folder: Path) -> None:
    (folder / "README.md").symlink_to("/etc/passwd")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (truncate, "bytes, the manifest says"),
        (lambda folder: flip(folder / "vision.onnx"), "was altered"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "cannot read"),
        (other_schema, "schema version 99"),
        (stranger_of_a_known_kind, "'extra.onnx', which its manifest does not list"),
        (folder_inside, "not a regular file"),
        (linked_text, "not a regular file"),
        (lambda folder: (folder / "other.sig").write_bytes(b""), "other.sig"),
    ],
)
@pytest.mark.parametrize("command", ["verify", "sign"])
def test_damage_is_refused(folder: Path, keys: Path, capsys, damage, said, command):
    damage(folder)
    key = ["--key", keys / "ours.private.pem"] if command == "sign" else []
    code, _, err = run(capsys, command, folder, *key)
    assert code == 6 and said in err and "hint:" in err
    assert not (folder / "manifest.sig").exists()


def test_show_tells_open_words(tmp_path: Path, capsys):
    write_bundle(tmp_path / "open", open_bundle("llava", max_tokens=60)[0])
    code, out, _ = run(capsys, "show", tmp_path / "open")
    assert code == 0 and "in open words, at most 60 tokens" in out and "any words" in out


def test_an_installed_bundle_is_signed_as_a_copy(keys: Path, capsys):
    key = keys / "ours.private.pem"
    code, _, err = run(capsys, "sign", "default", "--key", key)
    assert code == 2 and "'default' is the name of an installed bundle" in err
    assert f"vla-edge bundle sign my-default --key {key}" in err and "cp -r /" in err
    code, _, err = run(capsys, "sign", "nowhere", "--key", key)
    assert code == 2 and "nowhere is not a folder" in err and "installed" not in err


def test_texts_for_people_are_no_strangers(folder: Path, capsys):
    (folder / "README.md").write_text("a cup")
    assert run(capsys, "verify", folder)[0] == 0


def test_a_demanded_signature_must_be_there_and_by_that_key(folder: Path, keys: Path, capsys):
    code, _, err = run(capsys, "verify", folder, "--key", keys / "ours.public.pem")
    assert code == 6 and "is not signed" in err
    run(capsys, "sign", folder, "--key", keys / "theirs.private.pem")
    code, _, err = run(capsys, "verify", folder, "--key", keys / "ours.public.pem")
    assert code == 6 and "wanted is" in err


def test_a_manifest_that_was_changed_after_signing_is_refused(folder: Path, keys: Path, capsys):
    run(capsys, "sign", folder, "--key", keys / "ours.private.pem")
    manifest = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(manifest.replace('"name": "tiny"', '"name": "tidy"'))
    for key in ([], ["--key", keys / "ours.public.pem"]):
        code, _, err = run(capsys, "verify", folder, *key)
        assert code == 6 and "not of this manifest" in err


@pytest.mark.parametrize("content", [b"", b"ed25519\n", b"\x00" * 64, b"x" * 5000])
def test_a_damaged_signature_is_refused(folder: Path, capsys, content: bytes):
    (folder / "manifest.sig").write_bytes(content)
    assert run(capsys, "verify", folder)[0] == 6


@pytest.mark.parametrize("key", ["ours.private.pem", "nothing.pem", "text.pem"])
def test_other_files_are_no_keys(folder: Path, keys: Path, capsys, key: str):
    (keys / "text.pem").write_text("-----BEGIN PUBLIC KEY-----\nnothing\n-----END PUBLIC KEY-----\n")
    run(capsys, "sign", folder, "--key", keys / "ours.private.pem")
    assert run(capsys, "verify", folder, "--key", keys / key)[0] == 2
    assert run(capsys, "sign", folder, "--key", keys / "ours.public.pem")[0] == 2


def test_keys_are_private_and_never_overwritten(tmp_path: Path, capsys):
    assert run(capsys, "keygen", tmp_path / "robot")[0] == 0
    private, public = tmp_path / "robot.private.pem", tmp_path / "robot.public.pem"
    assert private.stat().st_mode & 0o777 == 0o600
    before = private.read_bytes()
    code, _, err = run(capsys, "keygen", tmp_path / "robot")
    assert code == 2 and "nothing is written over" in err
    private.unlink()
    assert run(capsys, "keygen", tmp_path / "robot")[0] == 2  # its public half is still there
    assert not private.exists() and public.exists() and before
    assert run(capsys, "keygen", tmp_path / "no/such/folder")[0] == 2


def test_show_says_what_the_manifest_holds(folder: Path, capsys):
    code, out, _ = run(capsys, "show", folder)
    assert code == 0
    for word in (
        "paligemma",
        "grounding",
        "find_object",
        "pixel_values",
        "fp32",
        "parity",
        "provenance",
        "none",
    ):
        assert word in out
    said = json.loads(run(capsys, "show", folder, "--json")[1])
    assert said["sha256"] == load_bundle(folder).sha256 and said["graphs"]["vision"]["precision"] == "fp32"


@pytest.mark.parametrize(
    "argv", [["verify"], ["sign", "default", "--key", "x"], ["show", "a", "b"], ["nothing"]]
)
def test_mistakes_are_bad_usage(capsys, argv: list[str]):
    assert run(capsys, *argv)[0] == 2


def test_a_bundle_that_is_not_there_is_refused(capsys):
    assert run(capsys, "verify", "no-such-bundle")[0] == 6
    assert run(capsys, "show", "no-such-bundle")[0] == 6


@given(manifest=st.binary(max_size=100), place=st.integers(0, 201), bit=st.integers(0, 7))
def test_one_changed_bit_breaks_a_signature(keys: Path, manifest: bytes, place: int, bit: int):
    signature = sign(manifest, keys / "ours.private.pem")
    assert check_signature(manifest, signature, keys / "ours.public.pem") == signature.split()[1].decode()
    changed = bytearray(signature)
    changed[place] ^= 1 << bit
    with pytest.raises(BundleRefused):
        check_signature(manifest, bytes(changed), None)
    with pytest.raises(BundleRefused, match="not of this manifest"):
        check_signature(manifest + b"x", signature, None)


WITHOUT_CRYPTOGRAPHY = """
import sys
sys.modules["cryptography"] = None  # an import of it fails then
from edge.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_only_signatures_need_cryptography(folder: Path, keys: Path, capsys):
    def verify() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", WITHOUT_CRYPTOGRAPHY, "bundle", "verify", str(folder)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert verify().returncode == 0
    run(capsys, "sign", folder, "--key", keys / "ours.private.pem")
    done = verify()
    assert done.returncode == 2 and "pip install '.[sign]'" in done.stderr


def test_two_keys_are_two(tmp_path: Path):
    made = {make_keys(tmp_path / f"{i}.private.pem", tmp_path / f"{i}.public.pem") for i in range(3)}
    assert len(made) == 3
