"""Faults 62 to 64: what is written down wrongly, and what is not there."""

import os
from pathlib import Path

import pytest

from tests.edge.commands.robot_text import robot_file
from tests.faults.conftest import FaultRecord
from tests.faults.rig import Rig

pytestmark = [pytest.mark.realtime, pytest.mark.timeout(400)]
# What makes root an ordinary user for files of others.
NOT_PERMITTED = (
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
)


def changed(folder: Path, old: str, new: str) -> str:
    """A robot file that was right before this change."""
    folder.mkdir()
    path = Path(robot_file(folder, folder, "null://"))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return str(path)


@pytest.mark.slow
@pytest.mark.fault(62, "config: zero, negative, NaN, unknown keys")
def test_values_that_make_no_sense_are_refused_with_their_line(rig: Rig, fault: FaultRecord, tmp_path: Path):
    for number, (old, new, said) in enumerate(
        [
            ("height_m: 0.3", "height_m: 0", "height_m"),
            ("radius_m: 0.25", "radius_m: -0.25", "radius_m"),
            ("linear_m_s: 0.4", "linear_m_s: .nan", "linear_m_s"),
            ("drive: differential", "drive: differential, wheels: 4", "wheels"),
        ]
    ):
        refusal = rig.refused("--robot", changed(tmp_path / str(number), old, new))
        fault.said(refusal.check(2, "my-robot.yaml", said, "line "))


@pytest.mark.fault(63, "config: a limit above the ceiling")
def test_a_limit_above_the_ceiling_is_refused(rig: Rig, fault: FaultRecord, tmp_path: Path):
    name = changed(tmp_path / "fast", "linear_m_s: 0.4", "linear_m_s: 0.6")
    fault.said(rig.refused("--robot", name).check(2, "linear_m_s", "0.5"))
    rig.refused("--max-speed", "0.6").check(2, "--max-speed 0.6 is above")


@pytest.mark.slow
@pytest.mark.fault(64, "no port, no permission")
def test_a_port_that_is_not_there_and_one_that_is_not_permitted_say_so(rig: Rig, fault: FaultRecord):
    """Both are hardware, exit code 5; an address that is none is bad usage, exit code 2."""
    fault.said(rig.refused("--motors", "mavlink:///dev/nowhere").check(5, "no port /dev/nowhere"))
    rig.refused("--motors", "mavlink://nowhere").check(2, "neither the path of a port")
    board, cable = os.openpty()
    port = os.ttyname(cable)
    try:
        root = os.getuid() == 0
        if root:
            os.fchown(cable, 65534, 65534)
        os.fchmod(cable, 0o000)
        refusal = rig.refused("--motors", f"mavlink://{port}", prefix=NOT_PERMITTED if root else ())
        refusal.check(5, f"no permission for port {port}", "dialout")
    finally:
        os.close(board)
        os.close(cable)
