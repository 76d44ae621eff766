"""Which bundle is the default on which processor."""

from pathlib import Path

import pytest

from edge.bundle import choice
from edge.bundle.bundle import bundle_names, find_bundle, load_bundle
from edge.bundle.choice import DefaultBundle, choose

VNNI = "processor\t: 0\nmodel name\t: some\nflags\t\t: fpu sse4_2 avx512_vnni\n"
LAPTOP = "flags\t\t: fpu avx2 avx_vnni\n"
OLD = "processor\t: 0\nflags\t\t: fpu sse4_2 avx2\n"
ORIN = "processor\t: 0\nFeatures\t: fp asimd crc32 asimddp\nCPU part\t: 0xd42\n"
NANO = "processor\t: 0\nFeatures\t: fp asimd crc32\n"


@pytest.mark.parametrize(
    ("cpuinfo", "feature"),
    [(VNNI, "avx512_vnni"), (LAPTOP, "avx_vnni"), (ORIN, "asimddp"), (VNNI + VNNI, "avx512_vnni")],
)
def test_a_processor_that_multiplies_bytes_fast_gets_int8(cpuinfo: str, feature: str):
    assert choose(cpuinfo) == DefaultBundle("default-int8", f"int8: the processor has {feature}")


@pytest.mark.parametrize("cpuinfo", [OLD, NANO, VNNI + OLD, "flags: no_avx_vnni\n", "vmx flags: avx_vnni\n"])
def test_others_get_fp32_and_so_do_cores_of_two_kinds(cpuinfo: str):
    found = choose(cpuinfo)
    assert found.name == "default" and "fp32" in found.reason


def test_a_processor_that_nothing_is_known_of_gets_fp32():
    assert choose("").name == "default" and "does not tell" in choose("").reason


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Let the machine have another processor."""

    def become(cpuinfo: str) -> None:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
        monkeypatch.setattr(choice, "_CPUINFO", tmp_path / "cpuinfo")
        choice.choose_here.cache_clear()

    yield become
    choice.choose_here.cache_clear()


@pytest.mark.parametrize(("cpuinfo", "name"), [(ORIN, "default-int8"), (OLD, "default")])
def test_auto_loads_the_installed_bundle_and_says_why(processor, cpuinfo: str, name: str):
    processor(cpuinfo)
    bundle = load_bundle("auto")
    named = load_bundle(name)
    assert bundle.origin() == {"name": name, "sha256": named.sha256, "chosen": choose(cpuinfo).reason}
    assert named.origin() == {"name": name, "sha256": named.sha256}, "nothing chose it but the user"


def test_a_folder_that_lies_about_is_not_taken_for_the_default(processor, tmp_path, monkeypatch):
    processor(VNNI)
    installed = find_bundle("auto")
    monkeypatch.chdir(tmp_path)
    for name in ("auto", "default-int8"):
        (tmp_path / name).mkdir()
    assert find_bundle("auto") == installed == find_bundle(installed)
    assert find_bundle("./auto") == Path("auto")
    assert "auto" in bundle_names(), "so that it can be neither signed nor built in place"
