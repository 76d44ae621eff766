"""How what was said of rooms is judged."""

import pytest

from benchmarks.description import Description, line, main, sums

ROOM = Description(3, ["red cup", "blue box"], ["blue box", "red cup", "white ball"], ["red cup"], 0, 10.5)


def test_a_name_is_invented_if_nothing_of_it_is_there_and_out_of_view_if_it_can_not_be_seen():
    wrong = Description(4, ["red ball"], ["blue ball"], ["blue ball"], 1, 10.5)
    assert (ROOM.invented, ROOM.out_of_view) == ([], ["blue box"])
    assert (wrong.invented, wrong.out_of_view) == (["red ball"], ["red ball"])
    nothing = Description(5, [], ["red cup"], [], 0, 10.5)
    assert line(ROOM) == "3: red cup, blue box" and line(nothing) == "5: nothing"
    assert line(wrong) == "4: red ball; invented: red ball"
    assert sums([ROOM, wrong, nothing]) == [
        "3 names in 3 rooms, 1 invented (0.333, 95 %: 0.061 to 0.792), 2 not in view",
        "1 of 2 names in view were said; 1 bumps",
    ]


@pytest.mark.slow
def test_the_default_model_looks_round_and_says_things_that_are_there(capsys: pytest.CaptureFixture[str]):
    assert main(["--rooms", "2", "--seed", "302"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("302: ") and " 0 invented" in printed[-2]
    assert not printed[-1].startswith("0 of ") and printed[-1].endswith(" 0 bumps")
