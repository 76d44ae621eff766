"""The way to a bundle for real rooms, as the refusal of a simulated one names it."""

from dataclasses import replace

import pytest

from export.commands.options import parse_options
from export.planner.boards import BOARDS
from export.planner.real_rooms import advice_for


@pytest.mark.parametrize("board", BOARDS)
def test_a_boards_command_is_one_that_export_takes_and_build_can_use(board: str):
    said = advice_for(BOARDS[board])
    command = said.partition("`vla-edge export ")[2].partition("`")[0]
    options = parse_options(command.split())
    options.validate("large")
    assert (options.precision, options.engine) == ("int8", "tensorrt")
    assert "`vla-edge build real` here" in said


def test_what_runs_and_cannot_be_built_without_swap_says_so():
    assert "paligemma-3b-mix-224 (int8 builds only with swap" in advice_for(BOARDS["orin-nano"])
    assert "paligemma-3b-mix-224 (int8 fits" in advice_for(BOARDS["orin-nx-16"])
    small = replace(BOARDS["orin-nano"], memory_bytes=4e9)
    assert "paligemma-3b-mix-224 (int8 does not fit" in advice_for(small)


def test_a_computer_without_tensorrt_is_given_the_plain_export():
    laptop = replace(BOARDS["thor"], measured=True, flops_s={"fp32": 1e11})
    said = advice_for(laptop)
    assert "`vla-edge export --model ORG/NAME --out real`" in said and "vla-edge build" not in said
