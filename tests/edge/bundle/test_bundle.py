import hashlib
import json
import os
import shutil
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from edge.bundle.bundle import load_bundle, make_bundle, write_bundle
from edge.errors import BundleRefused, UsageError
from edge.goals.vocabulary import check_target
from edge.records import BASE_ACTION, Goal


@pytest.fixture
def folder(tiny_bundle: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_bundle, copy)
    return copy


def _edit(folder: Path, change: Callable[[dict], None]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_reads_what_was_written(folder: Path):
    bundle = load_bundle(folder)
    assert bundle.manifest.action == BASE_ACTION
    assert bundle.read("vision") == (folder / "vision.onnx").read_bytes()
    assert bundle.sha256 == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    again = make_bundle(bundle.manifest, bundle.contents)
    assert again.sha256 == bundle.sha256
    with pytest.raises(BundleRefused, match="no head"):
        bundle.read("head")


@pytest.mark.parametrize("file", ["vision.onnx", "prefill.onnx", "decode.onnx", "tokenizer.json"])
@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_one_flipped_bit_is_refused(folder: Path, file: str, place: float):
    content = bytearray((folder / file).read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    (folder / file).write_bytes(content)
    with pytest.raises(BundleRefused, match="altered") as refusal:
        load_bundle(folder)
    assert refusal.value.exit_code == 6
    assert refusal.value.hint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-1], "bytes, the manifest says"),
        (lambda content: b"", "bytes, the manifest says"),
        (lambda content: content + b"x", "larger than"),
    ],
)
def test_wrong_sizes_are_refused(folder: Path, change: Callable[[bytes], bytes], message: str):
    file = folder / "decode.onnx"
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(BundleRefused, match=message):
        load_bundle(folder)


def test_a_folder_that_is_not_a_bundle_comes_with_what_to_do(tmp_path: Path):
    with pytest.raises(BundleRefused, match="is not a bundle") as caught:
        load_bundle(tmp_path)
    assert "known: default" in caught.value.hint
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BundleRefused, match="is not a bundle") as caught:
        load_bundle(tmp_path)
    assert f"vla-edge export {tmp_path}" in caught.value.hint


@pytest.mark.parametrize(
    ("file", "said"), [("vision.onnx", "cannot read"), ("manifest.json", "it has no manifest.json")]
)
def test_missing_files_are_refused(folder: Path, file: str, said: str):
    (folder / file).unlink()
    with pytest.raises(BundleRefused, match=said):
        load_bundle(folder)


@pytest.mark.parametrize(
    "name", ["../vision.onnx", "/etc/passwd", "a/b.onnx", "..", ".hidden.onnx", "vision.pkl"]
)
def test_names_that_lead_elsewhere_are_refused(folder: Path, name: str):
    _edit(folder, lambda manifest: manifest["graphs"]["vision"].update(file=name))
    with pytest.raises(BundleRefused):
        load_bundle(folder)


def test_links_are_refused(folder: Path, tmp_path: Path):
    (folder / "vision.onnx").rename(tmp_path / "outside.onnx")
    (folder / "vision.onnx").symlink_to(tmp_path / "outside.onnx")
    with pytest.raises(BundleRefused, match="cannot read"):
        load_bundle(folder)


def test_a_pipe_does_not_hang(folder: Path):
    (folder / "vision.onnx").unlink()
    os.mkfifo(folder / "vision.onnx")
    with pytest.raises(BundleRefused, match="regular file"):
        load_bundle(folder)


def test_strangers_are_refused(folder: Path):
    (folder / "weights.pkl").write_bytes(b"cos\nsystem\n")
    with pytest.raises(BundleRefused, match=r"weights\.pkl"):
        load_bundle(folder)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_other_schema_versions_are_refused(folder: Path, version: object):
    _edit(folder, lambda manifest: manifest.update(schema_version=version))
    with pytest.raises(BundleRefused, match="schema version"):
        load_bundle(folder)


@pytest.mark.parametrize("content", ["", "[]", "{", "null", "\x00\xff"])
def test_a_broken_manifest_is_refused(folder: Path, content: str):
    (folder / "manifest.json").write_text(content, encoding="latin-1")
    with pytest.raises(BundleRefused):
        load_bundle(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.update(surprise=1),
        lambda manifest: manifest["image"].update(height="32"),
        lambda manifest: manifest["action"].update(surprise=1),
        lambda manifest: manifest["action"].update(names=[f"joint{number}" for number in range(7)]),
        lambda manifest: manifest["graphs"]["vision"].update(sha256="0" * 63),
        lambda manifest: manifest.pop("policy"),
    ],
)
def test_manifests_are_read_strictly(folder: Path, change: Callable[[dict], None]):
    _edit(folder, change)
    with pytest.raises(BundleRefused, match=r"manifest\.json: "):
        load_bundle(folder)


def test_writing_replaces_whole_bundles(folder: Path):
    bundle = load_bundle(folder)
    (folder / "leftover.txt").write_text("old")
    write_bundle(folder, bundle)
    assert not (folder / "leftover.txt").exists()
    assert load_bundle(folder).sha256 == bundle.sha256
    assert [path.name for path in folder.parent.iterdir()] == ["copy"]
    with pytest.raises(BundleRefused, match="altered"):
        make_bundle(bundle.manifest, {**bundle.contents, "vision": bytes(len(bundle.contents["vision"]))})


def some_folder() -> Path:
    return Path("/nonexistent/bundle")


def test_names_come_from_entry_points(monkeypatch: pytest.MonkeyPatch):
    entry = EntryPoint("lost", "nowhere:nothing", "vla_edge.bundles")
    monkeypatch.setattr(EntryPoint, "load", lambda self: some_folder)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [entry])
    with pytest.raises(BundleRefused, match="not there"):
        load_bundle("lost")
    with pytest.raises(BundleRefused, match="no bundle 'found'") as refusal:
        load_bundle("found")
    assert "lost" in refusal.value.hint


@pytest.mark.parametrize(
    ("asked", "known"),
    [
        ("cup", "cup"),
        ("the Red  Cup", "red cup"),
        ("boxes", "box"),
        ("a green bottles", "green bottle"),
        ("빨간색 컵", "빨간 컵"),
        ("빨간컵", "빨간 컵"),
        ("빨간색컵을", "빨간 컵"),
        ("컵까지", "컵"),
        ("", ""),
    ],
)
def test_targets_in_the_bundles_own_words(tiny_bundle: Path, asked: str, known: str):
    goal = Goal("find_object", asked)
    assert check_target(load_bundle(tiny_bundle), goal) == Goal("find_object", known)


@pytest.mark.parametrize(
    "asked",
    [
        "unicorn",
        "cup red",
        "red",
        "red blue cup",
        "cup ball",
        "the",
        "red\ncup; main",
        "컵빨간",
        "빨간",
        "을",
    ],
)
def test_other_targets_are_bad_usage(tiny_bundle: Path, asked: str):
    with pytest.raises(UsageError) as refusal:
        check_target(load_bundle(tiny_bundle), Goal("find_object", asked))
    assert refusal.value.exit_code == 2


def test_near_names_are_offered(tiny_bundle: Path):
    with pytest.raises(UsageError) as refusal:
        check_target(load_bundle(tiny_bundle), Goal("find_object", "red bottel"))
    assert "did you mean bottle" in refusal.value.hint


def test_goals_that_the_bundle_cannot_do_are_refused(tiny_bundle: Path):
    with pytest.raises(UsageError, match="cannot do instruct: it says where things are") as refusal:
        check_target(load_bundle(tiny_bundle), Goal("instruct", "go to the door"))
    assert "it can do: find_object" in refusal.value.hint and "llava" in refusal.value.hint


def test_a_bundle_that_nobody_named_is_the_default_model():
    for name, told in (
        ("auto", "^the default model cannot do instruct"),
        ("default", "^bundle 'default' ca"),
    ):
        with pytest.raises(UsageError, match=told):
            check_target(load_bundle(name), Goal("instruct", "go to the door"))


def test_what_is_no_bundle_is_never_replaced(tiny_bundle: Path, tmp_path: Path):
    bundle = load_bundle(tiny_bundle)
    home = tmp_path / "home"
    (home / "sub").mkdir(parents=True)
    (home / "sub" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    shutil.copytree(tiny_bundle, tmp_path / "more")
    (tmp_path / "more" / "mine").mkdir()
    (tmp_path / "link").symlink_to(home)
    for name in ("home", "file", "more", "link"):
        with pytest.raises(UsageError, match="would be lost"):
            write_bundle(tmp_path / name, bundle)
    assert (home / "sub" / "thesis.txt").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    for name in ("empty", "new", "new"):
        write_bundle(tmp_path / name, bundle)
        assert load_bundle(tmp_path / name).sha256 == bundle.sha256
