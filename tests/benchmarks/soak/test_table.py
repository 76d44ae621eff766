"""The table of faults agrees with the 68 of docs/safety.md and with the causes that a run can have."""

from benchmarks.soak.faults.disturbances import DISTURBANCES
from benchmarks.soak.faults.fault import BUG, KILLED, WENT_ON, right_code
from benchmarks.soak.faults.refusals import REFUSALS
from benchmarks.soak.faults.table import FAULTS, LEFT_OUT
from edge.records import StopCause

ALL = set(range(1, 69))
WITH_28 = {29, 30, 31, 32}  # the texts of its answers


def test_each_of_the_68_faults_is_injected_or_left_out_for_a_reason():
    numbers = [each.number for each in (*FAULTS, *REFUSALS)] + list(LEFT_OUT)
    assert len(numbers) == len(set(numbers))
    assert set(numbers) | WITH_28 == ALL | {0}


def test_every_end_is_a_cause_or_a_word_for_one():
    known = {cause.value for cause in StopCause} | {WENT_ON, KILLED, BUG}
    assert all(set(fault.ends) <= known for fault in FAULTS)
    assert right_code("hot", 4) and not right_code("hot", 0) and right_code(WENT_ON, 3)


def test_every_fault_is_injected_or_breaks_by_itself():
    for fault in FAULTS[1:]:
        by_itself = fault.breaks or fault.camera or fault.off_centre
        assert bool(fault.inject) != bool(by_itself), fault
        assert not (fault.wired and fault.rig == "sim"), fault
        assert not any("\0" in text for text in fault.says), fault  # they travel in an environment
    assert len(DISTURBANCES) > 10
