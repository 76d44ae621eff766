"""vla-edge parse, in this process and in its own."""

import contextlib
import json
import subprocess
import sys

import pytest

from edge import cli
from edge.commands.parse import MAX_LINE_BYTES, main
from edge.errors import UsageError

FIELDS = ["type", "linear_x", "linear_y", "angular_z", "target", "confidence", "reason", "detections"]
COMMAND = [
    sys.executable,
    "-c",
    "import sys; from edge.commands.parse import main; sys.exit(main(sys.argv[1:]))",
]


def answers(lines: bytes) -> list[dict[str, object]]:
    done = subprocess.run(
        [*COMMAND, "--stdin-json"], input=lines, capture_output=True, timeout=60, check=True
    )
    assert done.stderr == b""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_json_has_exactly_the_fields_of_an_action(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "turn left"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert list(answer) == FIELDS
    assert (answer["type"], answer["angular_z"]) == ("turn", 0.5)


def test_table_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["빨간 공을 잡아"]) == 0
    out = capsys.readouterr().out
    assert "grab" in out
    assert "빨간 공" in out


def test_amounts_are_named_only_where_the_text_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "2미터 앞으로 가"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert list(answer) == [*FIELDS, "distance"]
    assert answer["distance"] == 2
    assert main(["--json", "turn left 30 degrees for 2 seconds"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["angle"], answer["duration"]) == (0.524, 2)


def test_numbers_have_no_digits_that_mean_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["turn left by 0.333333 degrees, fast"]) == 0
    out = capsys.readouterr().out
    assert "angular_z  0.75 rad/s\n" in out
    assert "angle      0.3333 degrees" in out
    assert main(["--json", "go fast forward"]) == 0
    assert json.loads(capsys.readouterr().out)["linear_x"] == 0.45  # 0.44999999999999996 as it is computed


def test_each_line_gets_one_answer_and_bad_lines_do_not_end_it() -> None:
    lines = [
        json.dumps("turn left").encode(),
        json.dumps("멈춰", ensure_ascii=False).encode(),
        b"not json",
        b"",
        b"42",
        b"[" * 5000,
        b'"\\ud800 stop"',
        b'"\xff\xfe turn left"',
        b'"unterminated',
        b'"' + b"a" * (MAX_LINE_BYTES + 10) + b'"',
        json.dumps("stop").encode(),
    ]
    got = answers(b"\n".join(lines) + b"\n")
    assert len(got) == len(lines)
    assert [answer["type"] for answer in (got[0], got[1], got[-1])] == ["turn", "stop", "stop"]
    for answer in (*got[2:6], *got[8:10]):
        assert [answer[name] for name in FIELDS if name != "reason"] == ["unknown", 0, 0, 0, "", 0, []]
        assert answer["reason"]


def test_each_answer_is_flushed_at_once() -> None:
    with subprocess.Popen(
        [*COMMAND, "--stdin-json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for text in ("turn right", "stop"):
            process.stdin.write(json.dumps(text).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["type"] in ("turn", "stop")
        process.stdin.close()
        assert process.wait(30) == 0


def test_a_reader_that_goes_away_is_no_error() -> None:
    lines = (json.dumps("turn left") + "\n").encode() * 20_000
    with subprocess.Popen(
        [*COMMAND, "--stdin-json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(lines[:1000])
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):  # the command may be gone before it has read all of it
            process.stdin.write(lines)
            process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_any_bytes_of_an_argument_can_be_shown(encoding: str) -> None:
    done = subprocess.run(
        [*COMMAND, b"grab the \xff\xed\xa0\x80 \xec\xbb\xb5 cup"],
        capture_output=True,
        timeout=60,
        env={"PYTHONIOENCODING": encoding, "PYTHONPATH": "."},
        check=True,
    )
    assert done.stderr == b""
    assert b"confidence" in done.stdout


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        ([], "for example"),
        (["stop", "--stdin-json"], "for example"),
        (["stop", "--family", "blip"], "choose one of paligemma"),
        (["stop", "--family", "paligemma", "--image-size", "224x224"], "leave it out"),
        (["stop", "--image-size", "224x224"], "add --family with one of"),
        (["stop", "--family", "qwen2.5-vl", "--image-size", "640"], "--help"),
        (["stop", "--family", "qwen2.5-vl", "--image-size", "0x480"], "--help"),
        (["stop", "--target", "<loc0001>"], "plain words"),
        (["stop", "--famly", "paligemma"], "--help"),
    ],
)
def test_bad_usage_exits_with_two_and_says_what_to_do(
    argv: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["parse", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 2
    assert hint in err.splitlines()[1]


def test_help_says_what_goes_in_and_comes_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["parse", "--help"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "JSON string in UTF-8" in words and "one JSON object" in words


def test_family_and_target_select_the_box_that_is_driven_to(capsys: pytest.CaptureFixture[str]) -> None:
    boxes = "<loc0400><loc0000><loc0600><loc0200> cup ; <loc0100><loc0300><loc0900><loc0900> cupboard"
    assert main(["--json", "--family", "paligemma", "--target", "cup", boxes]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["type"], answer["target"]) == ("navigate", "cup")
    assert answer["angular_z"] == 0.402
    assert answer["detections"] == [{"label": "cup", "y0": 0.3906, "x0": 0.0, "y1": 0.5859, "x1": 0.1953}]


@pytest.mark.parametrize("options", [["--family", "paligemma"], ["--target", "cup"], []])
def test_without_family_and_target_all_boxes_are_listed_and_nothing_moves(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = "<loc0400><loc0000><loc0600><loc0200> cup ; <loc0100><loc0300><loc0900><loc0900> mug"
    assert main([*options, boxes]) == 0
    out = capsys.readouterr().out.splitlines()
    assert "box        cup: x 0.000 to 0.195, y 0.391 to 0.586" in out
    assert "box        mug: x 0.293 to 0.879, y 0.098 to 0.879" in out
    assert [line.split()[1] for line in out[:4]] == ["unknown", "0.0", "0.0", "0.0"]


def test_boxes_in_pixels_are_read_with_the_size_of_the_image(capsys: pytest.CaptureFixture[str]) -> None:
    text = '[{"bbox_2d": [64, 48, 320, 240], "label": "mug"}]'
    options = ["--json", "--family", "qwen2.5-vl", "--target", "컵"]
    assert main([*options, "--image-size", "640x480", text]) == 0
    (box,) = json.loads(capsys.readouterr().out)["detections"]
    assert box == {"label": "mug", "y0": 0.1, "x0": 0.1, "y1": 0.5, "x1": 0.5}
    assert cli.main(["parse", *options, text]) == 2
    assert "--image-size 640x480" in capsys.readouterr().err


def test_hangul_stays_readable_in_json_and_in_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["--json", "--family", "paligemma", "--target", "컵", "<loc0256><loc0400><loc0512><loc0600> 컵"])
        == 0
    )
    out = capsys.readouterr().out
    assert '"컵"' in out and json.loads(out)["type"] == "navigate"
    with pytest.raises(UsageError, match="unknown family '파리'"):
        main(["--family", "파리", "stop"])
