"""From a trainer's checkpoint to a bundle that says the same, for each kind of head."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edge.base_spec import DEFAULT_BASE
from edge.bundle.bundle import load_bundle, make_bundle, write_bundle
from edge.bundle.manifest import StateInput
from edge.errors import BundleRefused, UsageError
from edge.goals.vocabulary import check_target
from edge.model.actions import ActionModel, state_of
from edge.model.generation import Generation
from edge.model.grounding import GroundingModel
from edge.model.tokenizer import GroundingTokenizer
from edge.parsing import parse_detections
from edge.policies.open import make_policy
from edge.records import BASE_ACTION, CameraMount, Frame, Goal, Observation, Odometry, Velocity
from export.graphs.family import GraphSource, Vision
from export.sources.build import SourceOptions, build_bundle
from export.sources.compare import random_patches
from export.sources.policy import read_policy, torch_state, torch_step
from export.sources.policy_files import read_trained_policy
from training.policy import load_policy
from vla.rollout import Rollout

PROMPT = "detect red cup"


@pytest.fixture(scope="module")
def bundle_of(
    checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Path]]:
    made: dict[str, Path] = {}
    visions: list[bytes] = []

    to_onnx = GraphSource.to_onnx

    def once(source: GraphSource) -> bytes:
        """All share one backbone, so one export of its vision graph will do."""
        if not isinstance(source.module, Vision):
            return to_onnx(source)
        visions[:] = visions or [to_onnx(source)]
        return visions[0]

    def of(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("policy-bundles") / name
            options = SourceOptions(name, random_images=2)
            write_bundle(made[name], build_bundle(checkpoints[name], options))
        return made[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GraphSource, "to_onnx", once)
        yield of


def odometry(step: int) -> Odometry:
    return Odometry(0, 0.1 * step, 0.0, 0.2 * step, Velocity(0.1 * step, -0.2, 0.3))


@pytest.mark.parametrize(
    "kind",
    [
        "discrete",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("lstm", "fc", "gpt")),
    ],
)
def test_a_bundle_says_what_torch_says_for_longer_than_it_remembers(
    kind: str, checkpoints: dict[str, Path], bundle_of: Callable[[str], Path]
) -> None:
    checkpoint = read_trained_policy(checkpoints[kind])
    bundle = load_bundle(bundle_of(kind))
    assert bundle.manifest.parity["max_action_error"] < 1e-4
    text, seen = GroundingTokenizer(bundle.read("tokenizer")), []
    with ActionModel(bundle) as model:
        rollout = Rollout(checkpoint.policy)
        for step in range(2 * checkpoint.head.window + 3):
            image = random_patches(100 + step, 40, 60)
            said = model.step(image, PROMPT, odometry(step))
            wanted = torch_step(checkpoint, rollout, text, image, PROMPT, odometry(step))
            np.testing.assert_allclose(said.actions, wanted, atol=1e-4)
            seen.append(said.actions)
        # A new episode begins as the first did.
        model.reset()
        again = model.step(random_patches(100, 40, 60), PROMPT, odometry(0))
        np.testing.assert_array_equal(again.actions, seen[0])
    assert np.ptp(np.stack(seen), axis=0).max() > 0.01, "the images must matter"


def test_the_manifest_tells_how_to_drive(bundle_of: Callable[[str], Path]) -> None:
    manifest = load_bundle(bundle_of("lstm")).manifest
    assert (manifest.policy, manifest.goals, manifest.prompts) == (
        "head", ("find_object",), {"find_object": "detect {target}"},
    )  # fmt: skip
    assert "컵" in manifest.vocabulary.kinds and manifest.head is not None
    assert manifest.head.columns == BASE_ACTION.names and manifest.head.rate_hz == 10
    assert manifest.head.scaling.model_dump() == {
        "kind": "min_max", "low": (-0.1, -0.2, -0.8), "high": (0.45, 0.2, 0.9),
    }  # fmt: skip
    assert set(manifest.graphs) == {"vision", "prefill", "head", "window"}
    assert load_bundle(bundle_of("discrete")).manifest.policy == "token"


@pytest.mark.slow
def test_a_head_of_attention_is_one_graph(bundle_of: Callable[[str], Path]) -> None:
    assert set(load_bundle(bundle_of("gpt")).manifest.graphs) == {"vision", "prefill", "window"}


def test_the_action_numbers_are_those_of_training(
    checkpoints: dict[str, Path], bundle_of: Callable[[str], Path]
) -> None:
    _, processing = load_policy(checkpoints["lstm"])
    actions = np.random.default_rng(0).uniform(-1, 1, (5, 3))
    with ActionModel(load_bundle(bundle_of("lstm"))) as model:
        ours = model.pipeline.decode(actions)
    np.testing.assert_allclose(ours, processing.decode(torch.from_numpy(actions)))


def test_the_state_numbers_are_those_of_training(checkpoints: dict[str, Path]) -> None:
    """By training's own names and scaling; the gate takes both sides' numbers from the checkpoint."""
    _, processing = load_policy(checkpoints["fc"])
    told = Odometry(0, 0.1, 0.2, 0.3, Velocity(0.4, 0.5, 0.6))
    row = np.array([[[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]]], np.float32)  # as a dataset has it, STATE_NAMES
    wanted = read_trained_policy(checkpoints["fc"]).head.state
    assert wanted is not None
    trained = processing._states(row)
    torch.testing.assert_close(torch_state(told, wanted), trained)
    np.testing.assert_allclose(state_of(told, wanted), trained[0, :, :-1], rtol=1e-5)


def test_a_token_policy_says_nothing_but_actions(
    bundle_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[int] = []
    start, step = Generation.prefill, Generation.decode

    def misled(logits: np.ndarray) -> np.ndarray:
        logits = logits.copy()
        logits[:20] += 1000  # words, far more probable than any action
        return logits

    monkeypatch.setattr(Generation, "prefill", lambda self, *a: misled(start(self, *a)))
    monkeypatch.setattr(
        Generation, "decode", lambda self, token: said.append(token) or misled(step(self, token))
    )
    bundle = load_bundle(bundle_of("discrete"))
    with ActionModel(bundle) as model:
        answer = model.step(random_patches(3, 40, 60), PROMPT, odometry(1))
    assert bundle.manifest.head is not None and (tokens := bundle.manifest.head.tokens) is not None
    assert len(said) == 4 * 3 - 1 and min(said) >= tokens.first_id
    assert max(said) < tokens.first_id + tokens.bins
    assert np.abs(answer.actions).max() <= 1 and 1 / tokens.bins <= answer.confidence <= 1


def test_policies_of_such_bundles_drive(bundle_of: Callable[[str], Path]) -> None:
    mount = CameraMount(0.9, 0.3, 0.2, 0.1)
    frame = Frame(random_patches(1, 40, 60), 5, 0)
    for kind in ("lstm", "discrete"):
        bundle = load_bundle(bundle_of(kind))
        goal = check_target(bundle, Goal("find_object", "the red cups"))
        with make_policy(bundle, goal, mount, DEFAULT_BASE) as policy:
            observation = Observation({"front": frame}, goal, odometry(0))
            inference = policy.infer(observation)
            chunk = policy.act(observation, inference)
        assert chunk is not None and chunk.values.shape == (4, 3) and chunk.t0_ns == 5
        assert (np.abs(chunk.values) <= BASE_ACTION.high).all()
        assert not parse_detections(inference.text, "paligemma").detections
    with pytest.raises(UsageError, match="cannot do describe_scene"):
        check_target(bundle, Goal("describe_scene"))
    with pytest.raises(UsageError, match="cannot do describe_scene"):
        make_policy(bundle, Goal("describe_scene"), mount, DEFAULT_BASE)
    with pytest.raises(UsageError, match="takes no instructions"):
        check_target(bundle, Goal("instruct", "go to the door"))


def test_a_state_can_not_be_made_up(bundle_of: Callable[[str], Path]) -> None:
    with ActionModel(load_bundle(bundle_of("fc"))) as model, pytest.raises(UsageError, match="no odometry"):
        model.step(random_patches(3, 40, 60), PROMPT)


def test_other_weights_are_found_out(checkpoints: dict[str, Path], bundle_of: Callable[[str], Path]) -> None:
    for kind, what in (("lstm", "head"), ("discrete", "backbone")):
        checkpoint = read_policy(checkpoints[kind], kind)
        with torch.no_grad():
            for name, weight in checkpoint.trained.policy.named_parameters():
                if name.startswith(what):
                    weight += 0.05
        parity = checkpoint.compare(load_bundle(bundle_of(kind)), [random_patches(0, 32, 48)])
        with pytest.raises(BundleRefused, match="disagree"):
            parity.check()


def test_a_runtime_that_takes_one_speed_for_the_other_is_found_out(
    checkpoints: dict[str, Path], bundle_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def swapped(odometry: Odometry, wanted: StateInput) -> np.ndarray:
        v = odometry.velocity
        wrong = Velocity(v.linear_y_m_s, v.linear_x_m_s, v.angular_z_rad_s)
        return state_of(replace(odometry, velocity=wrong), wanted)

    checkpoint, bundle = read_policy(checkpoints["fc"], "fc"), load_bundle(bundle_of("fc"))
    checkpoint.compare(bundle, [random_patches(0, 32, 48)]).check()
    monkeypatch.setattr("edge.model.actions.state_of", swapped)
    parity = checkpoint.compare(bundle, [random_patches(0, 32, 48)])
    with pytest.raises(BundleRefused, match="disagree"):
        parity.check()


def test_a_head_of_another_shape_than_its_graphs_is_refused(bundle_of: Callable[[str], Path]) -> None:
    bundle = load_bundle(bundle_of("lstm"))
    head = bundle.manifest.head
    for changed in ({"window": 5}, {"horizon": 2}):
        manifest = bundle.manifest.model_copy(update={"head": head and head.model_copy(update=changed)})
        with pytest.raises(BundleRefused, match="graph"):
            ActionModel(make_bundle(manifest, bundle.contents))
    with pytest.raises(BundleRefused, match="holds a head policy"):
        GroundingModel(bundle)


def test_a_bundle_without_its_head_is_refused(bundle_of: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(bundle_of("fc"), tmp_path / "headless")
    file = tmp_path / "headless" / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "head": None}))
    with pytest.raises(BundleRefused, match="section head"):
        load_bundle(tmp_path / "headless")
