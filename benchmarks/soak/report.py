"""What became of the runs of a soak."""

from collections import defaultdict
from typing import Any

from benchmarks.soak.faults.table import LEFT_OUT
from benchmarks.soak.state import LONG, State


def report(state: State) -> int:
    """Print the summary; return 0 if no run broke a rule, 4 otherwise."""
    records = list(state.records())
    short = [each for each in records if each["number"] != LONG]
    broken = [each for each in records if each["violations"]]
    hours = sum(each["seconds"] for each in records) / 3600
    print(f"{len(short)} short runs and {len(records) - len(short)} long ones, {hours:.2f} h in all")
    for line in _by_fault(short):
        print(line)
    missing = ", ".join(f"{number} ({why})" for number, why in sorted(LEFT_OUT.items()))
    print(f"never injected: {missing}")
    if short:
        print(_leaks(short))
    for each in records:
        if each["number"] == LONG:
            print(_long(each))
    for each in broken:
        print(f"VIOLATION seed {each['seed']} fault {each['number']} {each['title']}: {each['folder']}")
        for what in each["violations"]:
            print(f"  {what}")
    print(f"{len(broken)} of {len(records)} runs broke a rule")
    return 4 if broken else 0


def _by_fault(records: list[dict[str, Any]]) -> list[str]:
    runs: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for each in records:
        runs[each["number"]].append(each)
    lines: list[str] = []
    for number, these in sorted(runs.items()):
        injected = sum(each["injected_s"] is not None for each in these)
        ends = ", ".join(sorted({each["end"] for each in these}))
        zeros = [each["zero_ms"] for each in these if each["zero_ms"] is not None]
        bound = max(each["bound_ms"] or 0 for each in these)
        zero = f"zero {min(zeros):.0f} to {max(zeros):.0f} of {bound:.0f} ms" if zeros else ""
        slow = sum(each["by_machine"] for each in these)
        machine = f"{slow} by the machine" if slow else ""
        parts = ", ".join(filter(None, (ends, zero, machine)))
        lines.append(f"{number:>3}  {injected:>3} of {len(these):>3}  {these[0]['title']}: {parts}")
    return lines


def _leaks(records: list[dict[str, Any]]) -> str:
    """Return how what this process holds changed from the first run's end to the last one's."""
    first, last = records[0]["after"], records[-1]["after"]
    parts = [f"{key} {first[key]} to {last[key]}" for key in first]
    load = max(each["load"][1] for each in records)
    return f"the soak itself, between runs: {', '.join(parts)}; load average up to {load:.1f}"


def _long(record: dict[str, Any]) -> str:
    return f"long run {record['seed']}: {record['seconds']:.0f} s, {record['end']}, {record['figures']}"
