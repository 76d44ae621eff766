"""Which board a machine says it is."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.board.identity import NONE, UNKNOWN, jetpack_of, read_board, read_l4t
from edge.board.tree import Tree
from sim.faults.machine import write


@pytest.mark.parametrize(
    ("l4t", "jetpack"),
    [
        ("36.3.0", "6.0"), ("36.4.0", "6.1"), ("36.4.3", "6.2"), ("36.4.4", "6.2.1"), ("36.5.0", "6.2.2"),
        ("38.2.2", "7.0"), ("38.4.0", "7.1"), ("39.2.0", "7.2"), ("39.2.1", "7.2.1"), ("35.4.1", UNKNOWN),
        ("36.40.3", UNKNOWN), ("99.0", UNKNOWN), (UNKNOWN, UNKNOWN), (NONE, NONE),
    ],
)  # fmt: skip
def test_an_l4t_belongs_to_a_jetpack(l4t: str, jetpack: str):
    assert jetpack_of(l4t) == jetpack


@given(text=st.text(max_size=200), conf=st.text(max_size=200))
def test_row_38_no_text_of_a_release_file_is_a_crash(tmp_path_factory, text: str, conf: str):
    root: Path = tmp_path_factory.mktemp("machine")
    for name, content in (("etc/nv_tegra_release", text), ("etc/nvpmodel.conf", conf)):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(content.encode("utf-16", "surrogatepass"))
    board = read_board(Tree(root))
    assert board.jetson and board.jetpack == UNKNOWN


def test_a_pc_is_named_by_its_maker(tmp_path: Path):
    write(tmp_path, "/sys/class/dmi/id/sys_vendor", "LENOVO")
    write(tmp_path, "/sys/class/dmi/id/product_name", "20XW")
    assert read_board(Tree(tmp_path)).model == "LENOVO 20XW"
    assert read_l4t(Tree(tmp_path)) == NONE
