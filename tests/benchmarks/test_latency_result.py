"""Figures of planted drives, and what a comparison with an older result says."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.latency.command import _report
from benchmarks.latency.compare import compare_results, read_result, regressions
from benchmarks.latency.result import figures_of
from edge.errors import EdgeError, UsageError
from tests.benchmarks.latency_blocks import STAGES_MS, block, document, samples


def test_figures_hold_each_stage_its_bound_and_what_an_action_costs() -> None:
    blocks = [block(seed) for seed in range(4)]
    figures = figures_of(blocks, [samples(each) for each in blocks], {"vision": 4.0})
    assert list(figures["stages"]) == list(STAGES_MS)
    vision, whole = figures["stages"]["vision"], figures["end_to_end"]
    assert vision["bound_ms"] == 4.0 and vision["times_bound"] == pytest.approx(2.0, rel=0.05)
    assert "bound_ms" not in figures["stages"]["plan"] and figures["stages"]["next_frame"]["waits"]
    assert whole["p50"] <= whole["p90"] <= whole["p99"] <= whole["p999"] <= whole["max"]
    assert abs(whole["unaccounted_share"]) < 1e-3 and whole["p50_interval"][0] <= whole["p50"]
    assert figures["energy_j_per_action"] == pytest.approx(8.0 * 24 / 240)
    assert figures["answers"] == 4 * 50 and figures["warm_up"]["answers"] == 10
    assert figures["heat"]["throttle_events"] == 9


def test_without_a_meter_there_is_no_energy() -> None:
    blocks = [block(1)]
    figures = figures_of(blocks, [samples(blocks[0], watts=None)], {})
    assert figures["energy_j_per_action"] is None and figures["power_w"] is None


def test_drives_without_an_answer_at_the_motors_have_no_figures() -> None:
    empty = block(1) | {"stages": {}, "cpu": {}, "end_to_end": [], "time_s": []}
    with pytest.raises(EdgeError, match="none of 60 answers reached the motors") as said:
        figures_of([empty], [samples(empty)], {})
    assert "?rate=30" in said.value.hint


def test_a_long_drive_shows_what_the_machine_sustains() -> None:
    long = block(1, answers=1200, seconds=600.0)
    long["end_to_end"] = [
        value * (1.0 if number < 600 else 1.5) for number, value in enumerate(long["end_to_end"])
    ]
    over = figures_of([long], [samples(long, hotter_c=20)], {})["over_time"]
    assert over["sustained_ratio"] == pytest.approx(1.5, rel=0.02)
    assert len(over["windows"]) == 60 and over["windows"][-1]["p50"] > over["windows"][0]["p50"]
    hot = [each["celsius"] for each in over["windows"] if each["celsius"] is not None]
    assert hot[0] == 50 and hot[-1] == 70


def test_too_short_a_drive_says_nothing_about_what_is_sustained() -> None:
    short = block(1, answers=1)
    short["time_s"] = [5.9]
    with pytest.raises(EdgeError, match="sustains"):
        figures_of([short], [samples(short)], {})


def test_a_slower_stage_is_named_and_ends_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = document([block(seed) for seed in range(8)])
    now = document([block(seed, {"prefill": 1.2}) for seed in range(8, 16)])
    rows = compare_results(now, old, across=False)
    assert regressions(rows)[0]["stage"] == "prefill"

    class Options:
        html, json = None, True

    assert _report(Options(), now, rows) == 3  # pyright: ignore[reportArgumentType]
    assert re.search(r"slower: default: prefill takes 1\.(1[5-9]|2)", capsys.readouterr().err)
    assert _report(Options(), old, compare_results(old, now, across=False)) == 0  # pyright: ignore[reportArgumentType]


def test_what_waits_longer_is_not_a_regression() -> None:
    old = document([block(seed) for seed in range(8)])
    now = document([block(seed, {"next_frame": 1.05}) for seed in range(8, 16)])
    rows = compare_results(now, old, across=False)
    assert "next_frame" not in [row["stage"] for row in rows] and "plan" in [row["stage"] for row in rows]


def test_stages_are_compared_by_the_time_of_their_own_thread_where_one_computes() -> None:
    late, own = block(1), block(1)
    late["stages"]["vision"] = [
        3 * value for value in late["stages"]["vision"]
    ]  # the thread waited for others
    one, other = (document([each] * 4)["bundles"]["default"] for each in (late, own))
    assert one["by_block"]["vision"] == other["by_block"]["vision"]
    assert one["compared_by"] == "thread's own time"
    for many in ({"threads": 2}, {"engine": "tensorrt"}):
        one, other = (document([each | many] * 4)["bundles"]["default"] for each in (late, own))
        assert one["by_block"]["vision"][0][0] > 2 * other["by_block"]["vision"][0][0]


def test_results_of_other_numbers_of_threads_are_not_compared() -> None:
    old, now = document([block(1) | {"threads": 2}] * 4), document([block(2)] * 4)
    with pytest.raises(UsageError, match="number of threads"):
        compare_results(now, old, across=False)


@pytest.mark.parametrize("differs", [{"power_mode": "15W"}, {"board": "Thor"}, {"governor": "powersave"}])
def test_row_44_results_of_other_machines_and_modes_are_compared_on_demand_alone(
    differs: dict[str, str],
) -> None:
    old, now = (
        document([block(seed + start) for seed in range(4)], **each)
        for start, each in ((0, differs), (9, {}))
    )
    with pytest.raises(UsageError, match=next(iter(differs))) as refused:
        compare_results(now, old, across=False)
    assert "--across" in refused.value.hint
    assert compare_results(now, old, across=True)


def test_results_with_nothing_in_common_or_too_few_drives_are_refused() -> None:
    now, old = document([block(1), block(2)]), document([block(3), block(4)])
    with pytest.raises(UsageError, match="fewer than 4 blocks"):
        compare_results(now, old, across=False)
    old["bundles"] = {"head": old["bundles"]["default"]}
    with pytest.raises(UsageError, match="none of these bundles"):
        compare_results(now, old, across=False)


def test_only_a_result_of_this_benchmark_is_read(tmp_path: Path) -> None:
    file = tmp_path / "old.json"
    for content, said in (
        (None, "cannot read"),
        ("{", "not JSON"),
        ("{}", "not a result"),
        ("[]", "not a result"),
    ):
        if content is not None:
            file.write_text(content)
        with pytest.raises(UsageError, match=said):
            read_result(file)
    file.write_text(json.dumps(document([block(1)])))
    assert read_result(file)["machine"]["power_mode"] == "25W"
