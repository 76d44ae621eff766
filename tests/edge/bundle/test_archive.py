"""A bundle as one file: out of it comes the same bundle or nothing."""

import io
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import cli
from edge.bundle.archive import pack_bundle, unpack_bundle
from edge.bundle.bundle import Bundle, file_info, load_bundle, make_bundle, write_bundle, write_signature
from edge.bundle.manifest import ImageSpec, Manifest, Target, Vocabulary
from edge.errors import BundleRefused, UsageError


def bundle_of(files: dict[str, bytes]) -> Bundle:
    """Return a bundle with these files and no graphs."""
    manifest = Manifest(
        schema_version=1,
        name="any",
        family="paligemma",
        policy="grounding",
        goals=("find_object",),
        prompts={},
        vocabulary=Vocabulary(),
        image=ImageSpec(height=8, width=8, resize="area", mean=(0, 0, 0), std=(1, 1, 1)),
        action=None,
        graphs={},
        files={name: file_info(f"{name}.json", content) for name, content in files.items()},
        target=Target(engine="onnxruntime"),
        provenance={},
        parity={},
    )
    return make_bundle(manifest, files)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


names = st.from_regex(r"[a-z0-9_][a-zA-Z0-9_-]{0,20}", fullmatch=True).filter(lambda name: name != "manifest")


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(names, st.binary(max_size=3000), max_size=4), st.none() | st.binary(max_size=1000))
def test_unpack_undoes_pack(files: dict[str, bytes], signature: bytes | None):
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        write_bundle(root / "a", bundle_of(files))
        if signature is not None:
            write_signature(root / "a", signature)
        packed = pack_bundle(root / "a", root / "a.zip")
        unpacked = unpack_bundle(root / "a.zip", root / "b")
        assert contents(root / "a") == contents(root / "b")
        assert packed == unpacked == load_bundle(root / "b")
        pack_bundle(root / "b", root / "b.zip")
        assert (root / "a.zip").read_bytes() == (root / "b.zip").read_bytes()
        assert sorted(path.name for path in root.iterdir()) == ["a", "a.zip", "b", "b.zip"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with a bundle and its zip."""
    write_bundle(tmp_path / "bundle", bundle_of({"vision": bytes(range(256)) * 400, "tokenizer": b"{}"}))
    pack_bundle(tmp_path / "bundle", tmp_path / "bundle.zip")
    return tmp_path


def assert_refused(place: Path, file: Path, said: str) -> None:
    with pytest.raises(BundleRefused, match=said) as refusal:
        unpack_bundle(file, place / "out")
    assert refusal.value.exit_code == 6 and refusal.value.hint
    assert not (place / "out").exists()
    assert not [path for path in place.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99, 0.9999])
def test_files_that_are_cut_short_are_refused(place: Path, share: float):
    file = place / "bundle.zip"
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    assert_refused(place, file, "cut short")


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_no_changed_byte_gives_another_bundle(tiny_zip: bytes, data: st.DataObject):
    at = data.draw(
        st.one_of(st.integers(0, len(tiny_zip) - 1), st.integers(len(tiny_zip) - 900, len(tiny_zip) - 1))
    )
    changed = bytearray(tiny_zip)
    changed[at] ^= data.draw(st.integers(1, 255))
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        (root / "x.zip").write_bytes(changed)
        (root / "same.zip").write_bytes(tiny_zip)
        same = unpack_bundle(root / "same.zip", root / "same")
        try:
            # Bytes that say nothing of the content, such as a time, may change.
            assert unpack_bundle(root / "x.zip", root / "out").sha256 == same.sha256
            assert contents(root / "out") == contents(root / "same")
        except BundleRefused:
            assert not (root / "out").exists()


@pytest.fixture(scope="module")
def tiny_zip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    root = tmp_path_factory.mktemp("zip")
    write_bundle(root / "a", bundle_of({"one": b"1" * 50, "two": b""}))
    pack_bundle(root / "a", root / "a.zip")
    return (root / "a.zip").read_bytes()


def rewritten(file: Path, change) -> Path:
    """Return the zip with its entries as `change(info, content)` makes them; None leaves one out."""
    out = file.with_name("changed.zip")
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            for each in change(info, old.read(info)):
                new.writestr(*each)
    return out


def named(name: str):
    def change(info, content):
        return [(info, content)] if info.filename != "vision.json" else [(info, content), (name, b"x")]

    return change


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../evil.onnx", "not a plain file"),
        ("/etc/evil.onnx", "not a plain file"),
        ("a/b.onnx", "not a plain file"),
        ("..", "not a plain file"),
        ("folder/", "not a plain file"),
        ("c:\\evil.onnx", "not a plain file"),
        ("extra.onnx", "does not list"),
        ("evil.pkl", "does not list"),
        ("README.md", "does not list"),
    ],
)
def test_names_that_are_no_files_of_the_bundle_are_refused(place: Path, name: str, said: str):
    assert_refused(place, rewritten(place / "bundle.zip", named(name)), said)


def as_link(info, content):
    if info.filename == "vision.json":
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        return [(info, b"/etc/passwd")]
    return [(info, content)]


def deflated(info, content):
    return [(info, content, zipfile.ZIP_DEFLATED)]


def longer(info, content):
    return [(info, content + b"x" * (info.filename == "vision.json"))]


def other(info, content):
    return [(info, content if info.filename != "vision.json" else bytes(len(content)))]


def missing(info, content):
    return [(info, content)] if info.filename != "vision.json" else []


def no_manifest(info, content):
    return [(info, content)] if info.filename != "manifest.json" else []


def other_schema(info, content):
    return [(info, content.replace(b'"schema_version": 1', b'"schema_version": 9'))]


def long_signature(info, content):
    return (
        [(info, content)]
        if info.filename != "manifest.json"
        else [(info, content), ("manifest.sig", b"x" * 1001)]
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (as_link, "not a plain file"),
        (deflated, "compressed"),
        (longer, "bytes, the manifest says"),
        (other, "was altered"),
        (missing, "lacks vision.json"),
        (no_manifest, "lacks manifest.json"),
        (other_schema, "schema version 9"),
        (long_signature, "larger than 1000 bytes"),
    ],
)
def test_other_zips_are_refused(place: Path, change, said: str):
    assert_refused(place, rewritten(place / "bundle.zip", change), said)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused(place: Path):
    assert_refused(
        place, rewritten(place / "bundle.zip", lambda info, content: [(info, content)] * 2), "twice"
    )


def test_entries_that_lie_over_each_other_are_refused(place: Path):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("big.onnx", bytes(10_000))
        for index in range(50):  # the same bytes under other names
            info = zipfile.ZipInfo(f"copy{index}.onnx")
            first = archive.infolist()[0]
            info.header_offset, info.CRC = first.header_offset, first.CRC
            info.compress_size = info.file_size = first.file_size
            archive.filelist.append(info)
    (place / "bomb.zip").write_bytes(out.getvalue())
    assert_refused(place, place / "bomb.zip", "more than its own size")


def test_what_is_there_is_not_overwritten(place: Path):
    with pytest.raises(UsageError, match="is there already"):
        unpack_bundle(place / "bundle.zip", place / "bundle")
    with pytest.raises(UsageError, match="is there already"):
        pack_bundle(place / "bundle", place / "bundle.zip")


def test_a_damaged_bundle_is_not_packed(place: Path):
    (place / "bundle/vision.json").write_bytes(b"")
    with pytest.raises(BundleRefused):
        pack_bundle(place / "bundle", place / "new.zip")
    assert not (place / "new.zip").exists()


@pytest.mark.parametrize("command", [["pack", "bundle", "new.zip"], ["unpack", "bundle.zip", "new"]])
def test_a_full_disk_leaves_nothing_behind(place: Path, command: list[str]):
    """The kernel refuses to write past a limit, as it does when a disk is full."""
    largest = max(path.stat().st_size for path in (place / "bundle").iterdir())

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails then, instead of the process
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest - 1, largest - 1))

    before = sorted(path.name for path in place.iterdir())
    done = subprocess.run(
        [sys.executable, "-B", "-m", "edge.cli", "bundle", *command],
        cwd=place,
        env={"PYTHONPATH": str(Path(cli.__file__).parents[1])},
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "cannot write" in done.stderr and "free some space" in done.stderr
    assert sorted(path.name for path in place.iterdir()) == before


def test_the_commands_carry_a_bundle(place: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["bundle", "pack", str(place / "bundle"), str(place / "new.zip"), "--json"]) == 0
    assert cli.main(["bundle", "unpack", str(place / "new.zip"), str(place / "new")]) == 0
    assert load_bundle(place / "new").sha256 in capsys.readouterr().out
    assert cli.main(["bundle", "unpack", str(place / "nothing.zip"), str(place / "other")]) == 6
