"""What a bundle's training has shown it, as `vla-edge export` writes it."""

from pathlib import Path

import pytest

from edge.bundle.bundle import load_bundle, write_bundle
from edge.errors import UsageError
from export.commands.export import with_domain
from export.commands.options import parse_options


@pytest.mark.parametrize(
    ("options", "kind", "domain", "floor"),
    [
        ([], "family", "", ""),
        ([], "policy", "", ""),
        ([], "tiny", "simulated-rooms", ""),
        (["--domain", "real-rooms"], "tiny", "real-rooms", ""),
        (["--domain", "real-rooms", "--floor", "f.onnx"], "large", "real-rooms", "simulated-rooms"),
        (["--floor", "f.onnx", "--floor-domain", "real-rooms"], "family", "", "real-rooms"),
    ],
)
def test_a_checkpoint_gets_the_domain_that_is_stated(
    options: list[str], kind, domain: str, floor: str, tmp_path: Path
):
    bundle = load_bundle("default")
    unstated = bundle.manifest.model_copy(update={"domain": "", "floor_domain": ""})
    bundle = bundle.__class__(unstated, bundle.contents, bundle.sha256)
    labelled = with_domain(bundle, parse_options(["MODEL", "--out", "out", *options]), kind)
    write_bundle(tmp_path / "out", labelled)
    read = load_bundle(tmp_path / "out")
    assert (read.manifest.domain, read.manifest.floor_domain) == (domain, floor)
    assert read.sha256 == labelled.sha256


def test_a_bundle_keeps_what_it_says_unless_told_otherwise():
    bundle = load_bundle("default")
    kept = with_domain(bundle, parse_options(["MODEL", "--out", "out"]), "bundle")
    assert kept.manifest == bundle.manifest
    told = with_domain(bundle, parse_options(["MODEL", "--out", "out", "--domain", "both"]), "bundle")
    assert (told.manifest.domain, told.manifest.floor_domain) == ("both", "simulated-rooms")


def test_a_domain_is_one_word():
    with pytest.raises(UsageError, match="is not a word such as real-rooms"):
        parse_options(["MODEL", "--out", "out", "--domain", "My Rooms"])
