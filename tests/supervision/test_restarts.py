"""The engine is started again within a run: real processes, judged by the setpoints of the base's firmware."""

import pytest

from tests.faults.rig import RAMP_MS, SLACK_MS, Rig, moving

pytestmark = [pytest.mark.realtime, pytest.mark.timeout(400)]
SILENT_MS = 2000
NOTICED_MS = 100


@pytest.fixture
def rig(tmp_path, tiny_bundle) -> Rig:
    return Rig(tmp_path, tiny_bundle)


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "bound_ms"), [("gpu", NOTICED_MS), ("hangs", SILENT_MS + NOTICED_MS)])
def test_the_base_stands_while_the_engine_starts_again_and_then_drives_on(rig: Rig, mode, bound_ms):
    with rig.rover("--restarts", "1", "--max-seconds", "6", mode=mode) as run:
        broke_ns = run.drive.broke_ns()
        end = run.drive.end()
        lines = run.drive.setpoints(broke_ns)
    print(end)
    assert end.summary["restarts"] == []
