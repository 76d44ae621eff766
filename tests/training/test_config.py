"""What people write in a run's file: read whole, or refused by the key that is wrong."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.errors import UsageError
from training.config import Config, load_config, parse_config
from training.policy import dump_config
from training.schedule import learning_rate

EXAMPLES = sorted(Path("training/configs").glob("*.yaml"))
BASE: dict[str, Any] = {
    "out": "out",
    "backbone": {"path": "net"},
    "inputs": {"camera": "front"},
    "sources": {"sim": {"kind": "lerobot", "path": "data"}},
}


def changed(place: str, value: Any) -> dict[str, Any]:
    fields: dict[str, Any] = yaml.safe_load(yaml.safe_dump(BASE))
    *sections, name = place.split(".")
    section = fields
    for key in sections:
        section = section.setdefault(key, {})
    section[name] = value
    return fields


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("sedd", 1, "unknown key sedd; allowed are out, seed, steps"),
        ("policy.head.knd", "fc", "unknown key policy.head.knd; allowed are kind, hidden"),
        (
            "policy.head.kind",
            "fcc",
            "policy.head.kind should be 'fc', 'lstm', 'gpt' or 'discrete', got 'fcc'",
        ),
        ("sources.sim.batch", 1, "unknown key sources.sim.batch; allowed are kind, path, split, state_keys"),
        ("sources.sim.kind", "zarr", "sources.sim.kind should be lerobot, calvin, words"),
        ("sources.sim.batch_size", -1, "sources.sim.batch_size should be greater than or equal to 0, got -1"),
        ("sources.sim.batch_size", 0, "nothing to learn"),
        ("sources.sim.action_keys", [], "sources.sim.action_keys"),
        ("sources.sim.state_keys", ["a", "a"], "state_keys has a key twice"),
        (
            "sources.sim",
            {"kind": "calvin", "path": "data", "action_keys": ["actions"]},
            "sources.sim: action_keys choose features of kind lerobot; calvin has its own",
        ),
        ("sources", {"w": {"kind": "words", "path": "p"}}, "at least one must be of kind lerobot or calvin"),
        ("inputs", {}, "inputs.camera is missing"),
        ("inputs.image", {"heigth": 1}, "unknown key inputs.image.heigth; allowed are height, width"),
        ("optimiser.learning_rate", "fast", "learning_rate should be a valid number, got 'fast'"),
        ("optimiser.schedule", "cosin", "should be 'constant', 'cosine' or 'step', got 'cosin'"),
        ("steps", "10", "steps should be a valid integer, got '10'"),
        ("steps", True, "steps should be a valid integer, got True"),
        ("policy.history", "none", "history none has a window of 1"),
        (
            "policy.loss",
            {"step_weights": [1, 1]},
            "policy: loss.step_weights has 2 numbers for a window of 8",
        ),
        ("actions.scaling", "limits", "actions: low and high belong to scaling limits"),
        ("actions.low", [1.0], "actions: low and high belong to scaling limits"),
        ("inputs.instruction", {"templates": ["go"]}, "inputs.instruction.templates.0"),
        (
            "backbone",
            {"path": "n", "dtype": "bfloat16"},
            "bfloat16 would lose the small steps that trainable full takes",
        ),
        ("validation.fraction", 1.0, "validation.fraction should be less than 1"),
    ],
)
def test_an_error_names_the_key_and_what_it_may_be(place: str, value: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_config(changed(place, value), "run.yaml")
    assert caught.value.message.startswith("run.yaml: ") and message in caught.value.message


@pytest.mark.parametrize("found", [None, [], "text", 3])
def test_a_file_that_holds_no_settings_is_refused(found: Any) -> None:
    with pytest.raises(UsageError, match=r"run.yaml: the file should be an object"):
        parse_config(found, "run.yaml")


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    with pytest.raises(UsageError, match=r"cannot read .*run\.yaml"):
        load_config(file)
    for text in (b"a: [", b"\xff\xfe\xff", b"a: 2024-01-01"):
        file.write_bytes(text)
        with pytest.raises(UsageError, match=r"run\.yaml"):
            load_config(file)


def test_small_numbers_are_numbers(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(BASE) + "optimiser: {learning_rate: 3e-4, weight_decay: 1E-2}\n")
    found = load_config(file).optimiser
    assert (found.learning_rate, found.weight_decay) == (3e-4, 1e-2)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_a_written_config_reads_as_the_same(file: Path, tmp_path: Path) -> None:
    config = load_config(file)
    again = tmp_path / "config.yaml"
    again.write_text(dump_config(config))
    assert load_config(again) == config


def test_there_are_examples() -> None:
    assert EXAMPLES


def rates(**optimiser: Any) -> list[float]:
    config: Config = parse_config(changed("optimiser", {"learning_rate": 1.0, **optimiser}), "run.yaml")
    return [learning_rate(step, 10, config.optimiser) for step in range(10)]


def test_the_rate_warms_up_and_follows_its_schedule() -> None:
    assert rates(schedule="constant") == [1.0] * 10
    assert rates(schedule="constant", warmup_steps=4)[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    steps = rates(schedule="step", step_every=4, step_factor=0.5)
    assert steps == [1.0] * 4 + [0.5] * 4 + [0.25] * 2
    cosine = rates(schedule="cosine", warmup_steps=2)
    assert cosine[:3] == [0.5, 1.0, 1.0] and cosine[6] == pytest.approx(0.5)
    assert all(a > b for a, b in pairwise(cosine[2:])) and cosine[-1] < 0.05
