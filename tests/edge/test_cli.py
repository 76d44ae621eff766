"""The command line: its table, its errors, and what it may import."""

import json
import os
import re
import subprocess
import sys
from io import BytesIO, TextIOWrapper

import pytest

from edge import cli
from edge.commands.arguments import (
    ArgumentParser,
    non_negative_float,
    non_negative_int,
    parallel_int,
    positive_float,
    positive_int,
)
from edge.errors import BundleRefused, StaleFrame

HEAVY = ("torch", "transformers", "mujoco", "numpy", "cv2", "pydantic", "onnxruntime", "rich", "argparse")


@pytest.fixture
def command(monkeypatch):
    """Put a function behind `vla-edge run`."""

    def use(function, extra=""):
        monkeypatch.setitem(cli.COMMANDS, "run", cli.Command("test:main", "a test", extra))
        monkeypatch.setattr(cli, "_load", lambda target: function)

    return use


def raising(error):
    def main(argv):
        raise error

    return main


def test_help_imports_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "from edge.cli import main; main(['--help'])"],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "edge" in imported
    assert not imported & set(HEAVY)
    assert all(name in done.stdout for name in cli.COMMANDS)


def test_version_is_printed(capsys):
    assert cli.main(["--version"]) == 0
    assert re.fullmatch(r"vla-edge \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["rnu"], "did you mean `vla-edge run`?"),
        (["bench"], "there is `vla-edge bench detection`"),
        (["bench", "--json"], "there is `vla-edge bench detection`"),
        (
            ["bench", "latnecy"],
            "'bench latnecy'\nhint: did you mean `vla-edge bench latency`?",
        ),
        (["bundle", "xyzzy"], "`vla-edge bundle --help` lists the commands"),
        (["help", "rnu"], "did you mean `vla-edge run`?"),
        (["xyzzy"], "`vla-edge --help` lists the commands"),
        (["--goal", "find_object"], "options follow a command"),
        (["x" * 10_000], "`vla-edge --help` lists the commands"),
    ],
)
def test_unknown_commands_get_a_hint_and_exit_2(argv, said, capsys):
    assert cli.main(argv) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and said in err and len(err) < 300


@pytest.mark.parametrize("argv", [["-h"], ["help"], ["help", "--help"], ["help", "help"]])
def test_help_lists_every_command_within_80_columns(argv, capsys):
    assert cli.main(argv) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in cli.COMMANDS)
    assert max(map(len, out.splitlines())) <= 80
    assert "130 ended by Ctrl-C" in out


@pytest.mark.parametrize("argv", [["help", "bench"], ["bench", "--help"], ["bench", "-h"]])
def test_the_first_of_two_words_has_help_of_its_own(argv, capsys):
    assert cli.main(argv) == 0
    rows = [line.split()[:2] for line in capsys.readouterr().out.splitlines() if line.startswith("  bench ")]
    assert rows == [name.split() for name in cli.COMMANDS if name.startswith("bench ")]


def test_help_of_a_command_is_its_own_help(command, capsys):
    command(lambda rest: parser().parse_args(rest) and 0)
    assert cli.main(["help", "run"]) == 0
    assert "usage: vla-edge run" in capsys.readouterr().out


def extras() -> list[str]:
    """The modules that only an extra brings."""
    exporting = ["torch", "transformers", "matplotlib", "onnx", "onnx_ir", "onnxscript", "ml_dtypes"]
    training = [
        "safetensors",
        "huggingface_hub",
        "peft",
        "accelerate",
        "pyarrow",
        "av",
        "tensorboard",
    ]
    return [*exporting, *training, "cryptography"]


def test_every_command_helps_without_any_extra():
    code = """
import sys
for name in sys.argv[1:]:
    sys.modules[name] = None  # importing it fails as if it were not installed
from edge import cli
print([name for name in cli.COMMANDS if cli.main([*name.split(), "--help"]) != 0])
"""
    done = subprocess.run([sys.executable, "-c", code, *extras()], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert done.stderr == ""
    assert done.stdout.count("usage: vla-edge ") == len(cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_option_is_described(name, monkeypatch):
    silent = []

    def look(self, argv):
        silent.extend(action.dest for action in self._actions if not action.help)
        raise SystemExit(0)

    monkeypatch.setattr(ArgumentParser, "parse_args", look)
    assert cli.main(name.split()) == 0
    assert silent == []


def test_a_command_gets_its_arguments_and_gives_its_exit_code(command):
    seen = []
    command(lambda argv: seen.append(argv) or 3)
    assert cli.main(["run", "--goal", "find_object"]) == 3
    assert seen == [["--goal", "find_object"]]


def test_two_word_commands_are_found():
    assert cli._split(["bench", "detection", "--json"]) == ("bench detection", ["--json"])


@pytest.mark.parametrize(
    ("error", "code"), [(BundleRefused("bad", "mend it"), 6), (StaleFrame("old", "look"), 4)]
)
def test_errors_are_told_with_hint_and_exit_code(command, capsys, error, code):
    command(raising(error))
    assert cli.main(["run"]) == code
    captured = capsys.readouterr()
    assert captured.err == f"error: {error.message}\nhint: {error.hint}\n"
    assert captured.out == ""


def test_json_prints_the_error_for_machines_too(command, capsys):
    command(raising(BundleRefused("컵 is cut short", "fetch it again")))
    assert cli.main(["run", "--json"]) == 6
    said = {"error": "컵 is cut short", "hint": "fetch it again", "exit_code": 6}
    assert json.loads(capsys.readouterr().out) == said


def test_a_missing_package_names_what_to_install(command, capsys):
    command(raising(ModuleNotFoundError("No module named 'torch'", name="torch")), extra="train")
    assert cli.main(["run"]) == 2
    err = capsys.readouterr().err
    assert "'torch'" in err and "pip install '.[train]' --extra-index-url https://" in err


def test_what_a_user_without_an_extra_is_told_needs_no_index(command, capsys):
    command(raising(ModuleNotFoundError("No module named 'cv2'", name="cv2")))
    assert cli.main(["run"]) == 2
    assert capsys.readouterr().err.endswith("hint: in the folder of vla-edge's source: pip install '.'\n")


def test_a_bug_is_one_line_unless_debugging(command, capsys, monkeypatch):
    command(raising(ValueError("too\nmany")))
    assert cli.main(["run"]) == 1
    err = capsys.readouterr().err
    assert "unexpected ValueError: too many" in err and "VLA_EDGE_DEBUG=1" in err and "Traceback" not in err
    monkeypatch.setenv("VLA_EDGE_DEBUG", "1")
    assert cli.main(["run"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_ends_with_one_line_and_its_own_exit_code(command, capsys):
    command(raising(KeyboardInterrupt()))
    assert cli.main(["run"]) == 130
    assert capsys.readouterr() == ("", "ended by Ctrl-C\n")


def test_a_terminal_that_lacks_a_character_shows_its_number(command, monkeypatch):
    shown = BytesIO()
    command(lambda argv: print("turn left at 9°/s") or 0)
    with TextIOWrapper(shown, encoding="ascii") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        assert cli.main(["run"]) == 0
        assert shown.getvalue() == b"turn left at 9\\xb0/s\n"


def test_a_closed_pipe_is_quiet():
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-m", "edge.cli"], stdout=write_end, stderr=subprocess.PIPE, check=False
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_broken_pipe_elsewhere_is_a_bug(command, capsys):
    command(raising(BrokenPipeError(32, "Broken pipe")))
    with open(os.devnull, "w") as sink, pytest.MonkeyPatch.context() as patch:  # noqa: PTH123
        patch.setattr(sys, "stdout", sink)
        assert cli.main(["run"]) == 1
    assert "BrokenPipeError" in capsys.readouterr().err


def parser():
    made = ArgumentParser("run", "drives")
    made.add_argument("--seed", type=non_negative_int)
    made.add_argument("--max-seconds", type=positive_float)
    made.add_argument("--latency-ms", type=non_negative_float)
    made.add_argument("--jobs", type=parallel_int)
    made.add_argument("--episodes", type=positive_int)
    return made


@pytest.mark.parametrize(
    "argv",
    [
        ["--seed", "abc"],
        ["--seed", "-1"],
        ["--seed", "9" * 100],
        ["--max-seconds", "-1"],
        ["--max-seconds", "0"],
        ["--max-seconds", "nan"],
        ["--max-seconds", "inf"],
        ["--max-seconds", "soon"],
        ["--latency-ms", "-0.1"],
        ["--jobs", "0"],
        ["--jobs", "100000"],
        ["--episodes", "0"],
        ["--see", "1"],
        ["extra"],
    ],
)
def test_bad_arguments_exit_2_in_the_same_style(command, capsys, argv):
    command(lambda rest: parser().parse_args(rest) and 0)
    assert cli.main(["run", *argv]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and "hint: `vla-edge run --help` lists what it takes" in err


def test_help_of_a_command_exits_0(command, capsys):
    command(lambda rest: parser().parse_args(rest) and 0)
    assert cli.main(["run", "--help"]) == 0
    assert "usage: vla-edge run" in capsys.readouterr().out
