"""The script that counts ruled-out words, on a small tree of files."""

import importlib.util
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

NO, WHERE = "no", "where"  # apart, so that the script doesn't find them in this file
SCRIPT = Path(__file__).parents[2] / "scripts/words"


@pytest.fixture(scope="module")
def words() -> ModuleType:
    loader = SourceFileLoader("words_script", str(SCRIPT))
    spec = importlib.util.spec_from_loader("words_script", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def _tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x = 1\ny = 2  # of the base\n", 2),
        ("# Of the base.\nx = 1\n", 1),
        ("# A whole sentence.\n\n# of another\nx = 1\n", 3),
        ('def f():\n    """Of the base."""\n', 2),
        ('class A:\n    x: int\n    """of the base"""\n', 3),
        (f'"""Reads it. Raises UsageError and\nValueError {WHERE} it is broken."""\n', 1),
        (f'raise ValueError("it is {NO} bundle")\n', 1),
        (f'"""Those that are\n{NO} bundles."""\n', 1),
        (f"# Those were\n# {NO} bundles.\n", 1),
    ],
)
def test_ruled_out_wording_is_found_with_its_line(
    words: ModuleType, tmp_path: Path, text: str, line: int
) -> None:
    (finding,) = words.all_findings(_tree(tmp_path, {"edge/a.py": text}))
    assert finding[1] == tmp_path / "edge/a.py"
    assert finding[2] == line


@pytest.mark.parametrize(
    "text",
    [
        "# The sentence goes on with the radius\n# of the base.\nx = 1\n",
        '"""Reads it. Raises UsageError if it is broken. Lies where others write."""\n',
        '"""Raises UsageError if it is broken.\n\nIt stays where it is."""\n',
        '"""Raises UsageError; it stays where it is."""\n',
        'def f():\n    """Raises UsageError."""\n    where = 1\n',
        'raise ValueError("there is no bundle, and it is no longer read")\n',
        'x = "of the base"\n',
    ],
)
def test_good_wording_passes(words: ModuleType, tmp_path: Path, text: str) -> None:
    assert words.all_findings(_tree(tmp_path, {"edge/a.py": text})) == []


def test_wording_of_tests_counts_but_not_their_classes_and_sizes(words: ModuleType, tmp_path: Path) -> None:
    long = "class A: ...\n" * 301 + "# of the base\n"
    (finding,) = words.all_findings(_tree(tmp_path, {"tests/edge/a.py": long}))
    assert finding[2] == 302


def test_classes_of_one_name_are_found_across_rooms_private_ones_too(
    words: ModuleType, tmp_path: Path
) -> None:
    reader = "class _Reader: ..."
    files = {"edge/a.py": reader, "sim/b.py": f"x = 1\n{reader}\n", "vla/c.py": "class C: ..."}
    root = _tree(tmp_path, files)
    assert [(path.name, line, name) for _, path, line, name in words.all_findings(root)] == [
        ("a.py", 1, "_Reader"),
        ("b.py", 2, "_Reader"),
    ]


def test_long_files_and_full_folders_are_found(words: ModuleType, tmp_path: Path) -> None:
    fits = {f"edge/fits/a{i}.py": "x = 1\n" * 300 for i in range(12)} | {"edge/fits/__init__.py": ""}
    assert words.all_findings(_tree(tmp_path, fits)) == []
    (long,) = words.all_findings(_tree(tmp_path, {"sim/long.py": "x = 1\n" * 301}))
    assert long[1] == tmp_path / "sim/long.py"
    (tmp_path / "sim/long.py").unlink()
    (full,) = words.all_findings(_tree(tmp_path, {"edge/fits/one_more.py": ""}))
    assert full[1] == tmp_path / "edge/fits"
