"""Faults 19 to 27: inference."""

import os
import signal
import time

import pytest

from tests.faults.conftest import FaultRecord
from tests.faults.rig import AGE_MS, RAMP_MS, SLACK_MS, Rig, moving
from tests.waiting import alive, until

pytestmark = [pytest.mark.realtime, pytest.mark.timeout(400)]
SILENT_MS = 2000  # the model may be silent for so long
NOTICED_MS = 100  # from an error in the runtime to the motor process


@pytest.mark.slow
@pytest.mark.fault(19, "inference hangs")
def test_a_model_that_hangs_stops_the_base(rig: Rig, fault: FaultRecord):
    with rig.rover(mode="hangs") as run:
        hung_ns = run.drive.broke_ns()
        end = run.drive.end()
    end.check("model_silent", 4, "the model has not answered for 2", "hint: ")
    fault.said(end)
    fault.zero(run.drive.zero_after_ms(hung_ns), SILENT_MS + NOTICED_MS + RAMP_MS + SLACK_MS)


@pytest.mark.slow
@pytest.mark.fault(20, "inference slow: elapsed rows")
def test_rows_that_have_elapsed_when_an_answer_comes_are_skipped(rig: Rig, fault: FaultRecord):
    """The first row asks for 0.9 rad/s for 0.1 s, and is over when the answer comes."""
    with rig.rover("--max-seconds", "3", mode="late") as run:
        end = run.drive.end()
    end.check_went_on()
    fault.said("goes on from the row that is due")
    turns = [line["angular_z"] for line in run.drive.setpoints()]
    assert 0.29 < max(turns) < 0.31


@pytest.mark.slow
@pytest.mark.fault(21, "GPU error")
def test_an_error_of_the_gpu_stops_the_base_and_ends_the_process(rig: Rig, fault: FaultRecord):
    """The error is that of a double of CUDA's library; all else is real."""
    with rig.rover(mode="gpu") as run:
        broke_ns = run.drive.broke_ns()
        end = run.drive.end(20)
    end.check("engine_fault", 4, "the GPU failed: cudaErrorIllegalAddress", "hint: start the program again")
    fault.said(end)
    fault.zero(run.drive.zero_after_ms(broke_ns), NOTICED_MS + RAMP_MS + SLACK_MS)


@pytest.mark.slow
@pytest.mark.fault(22, "inference killed for memory")
def test_a_runtime_that_is_killed_for_memory_leaves_a_base_that_stands(rig: Rig, fault: FaultRecord):
    """The kernel kills by SIGKILL what uses too much memory, in the middle of an inference too."""
    with rig.rover(mode="hangs") as run:
        run.drive.broke_ns()
        pids = run.drive.pids
        killed_ns = time.monotonic_ns()
        os.kill(run.drive.child.pid, signal.SIGKILL)
        fault.zero(run.drive.zero_after_ms(killed_ns), 50 + RAMP_MS)
        until(lambda: not alive(pids["motor"]))
        until(lambda: not run.drive.setpoints()[-1]["armed"])
    fault.said("nothing: the process is gone, its folder has no summary.json")
    assert not (run.drive.folder / "summary.json").exists()


@pytest.mark.fault(23, "inference says NaN")
def test_a_chunk_that_is_not_a_number_is_never_followed(rig: Rig, fault: FaultRecord):
    """It holds, and is not latched: one good chunk would go on. A net that computes NaN ends the run."""
    with rig.rover("--max-seconds", "4", mode="nan") as run:
        broke_ns = run.drive.broke_ns()
        end = run.drive.end()
    end.check_went_on()
    fault.said("holds; summary.json counts the chunks that were not followed")
    fault.zero(run.drive.zero_after_ms(broke_ns), NOTICED_MS + RAMP_MS + SLACK_MS)
    assert end.summary["refused_chunks"]["malformed"] > 3


@pytest.mark.slow
@pytest.mark.fault(24, "inference jumps")
def test_answers_that_jump_to_and_fro_stop_the_base(rig: Rig, fault: FaultRecord):
    with rig.rover(mode="jump") as run:
        broke_ns = run.drive.broke_ns()
        end = run.drive.end()
    end.check("jumping_chunk", 4)
    fault.said(end)
    fault.zero(run.drive.zero_after_ms(broke_ns), AGE_MS + SLACK_MS)
    assert all(line["angular_z"] >= 0 for line in run.drive.setpoints())


@pytest.mark.slow
@pytest.mark.fault(25, "chunk used up")
def test_a_chunk_that_is_used_up_ends_in_standing(rig: Rig, fault: FaultRecord):
    """Its last row was for 0.2 s after its frame; nothing follows it."""
    with rig.rover(mode="used_up") as run:
        broke_ns = run.drive.broke_ns()
        end = run.drive.end()
    end.check("stale_chunk", 4)
    fault.said(end)
    fault.zero(run.drive.zero_after_ms(broke_ns), 200 + RAMP_MS + SLACK_MS)


@pytest.mark.slow
@pytest.mark.fault(26, "inference raises")
def test_an_exception_in_the_model_stops_the_base(rig: Rig, fault: FaultRecord):
    with rig.rover(mode="raises") as run:
        broke_ns = run.drive.broke_ns()
        end = run.drive.end()
    assert end.code == 1 and end.told == "unexpected FloatingPointError: the engine broke", end.err
    assert "Traceback" not in end.err
    fault.said(end)
    fault.zero(run.drive.zero_after_ms(broke_ns), NOTICED_MS + RAMP_MS + SLACK_MS)


@pytest.mark.slow
@pytest.mark.fault(27, "output frozen while the scene changes")
def test_a_chunk_that_is_handed_on_again_and_again_stops_the_base(rig: Rig, fault: FaultRecord):
    with rig.rover(mode="frozen") as run:
        broke_ns = run.drive.broke_ns()
        end = run.drive.end()
    end.check("stale_chunk", 4)
    fault.said(end)
    fault.zero(run.drive.zero_after_ms(broke_ns), AGE_MS + SLACK_MS)
    assert end.summary["refused_chunks"]["repeated"] > 3
    assert any(map(moving, run.drive.setpoints()))
