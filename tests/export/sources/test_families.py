"""Checkpoints of every family to bundles that say the same, stage by stage and token by token."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from calibration.sample_set import Question, write_set
from edge.bundle.bundle import load_bundle
from edge.bundle.parity import print_parity
from edge.engines.onnx import OnnxEngine
from edge.errors import UsageError
from edge.goals.goals import GOALS
from edge.goals.prompts import family_prompt
from edge.model.actions import ActionModel
from edge.model.generation import DecoderEngines, Generation
from edge.model.grounding import GroundingModel
from edge.model.prompt_ids import ids_before_image
from edge.records import Goal, Odometry, Velocity
from export.change_precision import with_graphs
from export.commands.export import main
from export.graphs.family import family_sources
from export.graphs.fusion.fuse import fuse
from export.graphs.graph import Graph
from export.sources.build import SourceOptions, build_bundle
from export.sources.compare import random_patches
from export.sources.family import torch_answer
from export.sources.manifest import family_name
from tests.export.conftest import make_checkpoint
from tests.export.hf_folders import write_folder
from vla.backbones.backbone import Backbone
from vla.backbones.loading import load_backbone
from vla.backbones.tiny import CONFIGS

PROMPT, ANSWER = 240, 40
# The others have parts of one of these; the suite of slow tests has them all.
_QUICK = (
    "qwen2_5_vl",
    "florence2",
)  # decoders alone, and with cross-attention; PaliGemma is test_policy.py's
_POLICIES = (("florence2", "discrete"),)  # test_policy.py exports the heads of PaliGemma
EVERY = [pytest.param(name, marks=[pytest.mark.slow] * (name not in _QUICK)) for name in CONFIGS]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    """A family's checkpoint, and the bundle that `vla-edge export --model` makes of it."""
    root = tmp_path_factory.mktemp("families")

    def make(name: str) -> tuple[Path, Path]:
        folder, out = root / name, root / f"{name}-bundle"
        if not out.exists():
            write_folder(name, folder)
            sizes = ["--prompt-tokens", str(PROMPT), "--answer-tokens", str(ANSWER)]
            assert main(["--model", str(folder), "--out", str(out), *sizes, "--json"]) == 0
        return folder, out

    return make


@torch.inference_mode()
def stage_errors(backbone: Backbone, out: Path) -> dict[str, float]:
    """The largest error of each graph on random inputs, as a share of the output's largest number."""
    bundle = load_bundle(out)
    image = bundle.manifest.image
    tokenizer = Tokenizer.from_str(bundle.read("tokenizer").decode())
    before = tuple(ids_before_image(tokenizer, bundle.manifest.family))
    errors: dict[str, float] = {}
    for role, source in family_sources(backbone, image.height, image.width, before, PROMPT, ANSWER).items():
        inputs = {n: torch.randn_like(v) if v.is_floating_point() else v for n, v in source.inputs.items()}
        if role == "decode" and "cross_mask" in inputs:
            inputs["cross_mask"] = source.inputs["cross_mask"]
        wanted = source.module(**inputs)
        engine = OnnxEngine(bundle.read(role))
        found = engine.run({name: value.numpy() for name, value in inputs.items()})
        assert list(found) == source.outputs
        for name, value in zip(source.outputs, wanted, strict=True):
            scale = max(float(value.abs().max()), 1e-6)
            errors[f"{role} {name}"] = float(np.abs(found[name] - value.numpy()).max()) / scale
    return errors


@pytest.mark.parametrize("name", EVERY)
def test_every_stage_computes_what_torch_computes(
    name: str, made: Callable[[str], tuple[Path, Path]]
) -> None:
    folder, out = made(name)
    errors = stage_errors(load_backbone(folder), out)
    assert {"vision image_features", "prefill logits", "prefill cache", "decode logits"} <= errors.keys()
    assert max(errors.values()) <= 1e-4, errors


@pytest.mark.parametrize("name", EVERY)
def test_32_tokens_are_said_as_torch_says_them(name: str, made: Callable[[str], tuple[Path, Path]]) -> None:
    folder, out = made(name)
    backbone, bundle = load_backbone(folder), load_bundle(out)
    image = random_patches(7, bundle.manifest.image.height, bundle.manifest.image.width)
    kind = bundle.manifest.goals[0]
    words = family_prompt(bundle.manifest.family, Goal(kind, "red cup" if GOALS[kind].needs_target else ""))
    wanted = [
        int(logits.argmax())
        for logits in torch_answer(backbone, bundle.manifest, bundle.read("tokenizer"), image, words, 32)
    ]
    net = DecoderEngines(bundle, 1)
    answer = Generation(net)
    found = [int(answer.prefill(image, words).argmax())]
    while len(found) < 32:
        found.append(int(answer.decode(found[-1]).argmax()))
    assert found == wanted
    # The picture, the words and what was said before all matter.
    other = Generation(net)
    first = other.prefill(random_patches(8, *image.shape[:2]), words).copy()
    assert np.abs(first - Generation(net).prefill(image, words)).max() > 1e-5
    assert (
        np.abs(
            Generation(net).prefill(image, words + " now").copy() - Generation(net).prefill(image, words)
        ).max()
        > 1e-5
    )
    net.close()


@pytest.mark.parametrize("name", EVERY)
def test_fused_graphs_say_the_same(name: str, made: Callable[[str], tuple[Path, Path]]) -> None:
    bundle = load_bundle(made(name)[1])
    before = {stage: Graph.parse(bundle.read(stage)) for stage in ("vision", "prefill", "decode")}
    after = {stage: fuse(graph) for stage, graph in before.items()}
    image = random_patches(7, bundle.manifest.image.height, bundle.manifest.image.width)
    kind = bundle.manifest.goals[0]
    words = family_prompt(bundle.manifest.family, Goal(kind, "red cup" if GOALS[kind].needs_target else ""))
    said: list[list[np.ndarray]] = []
    for each in (bundle, with_graphs(bundle, after)):
        net = DecoderEngines(each, 1)
        answer = Generation(net)
        said.append([answer.prefill(image, words).copy()])
        while len(said[-1]) < 6:
            said[-1].append(answer.decode(int(said[0][len(said[-1]) - 1].argmax())).copy())
        net.close()
    np.testing.assert_allclose(said[1], said[0], atol=1e-4 * float(np.abs(said[0]).max()))
    nodes = [sum(len(graph.model.graph.node) for graph in graphs.values()) for graphs in (before, after)]
    assert nodes[1] < 0.97 * nodes[0]


@pytest.mark.parametrize(
    "name", ["qwen2_5_vl", "florence2", pytest.param("kosmos-2", marks=pytest.mark.slow)]
)
def test_the_runtime_answers_out_of_such_a_bundle(
    name: str, made: Callable[[str], tuple[Path, Path]]
) -> None:
    bundle = load_bundle(made(name)[1])
    with GroundingModel(bundle) as model:
        words = family_prompt(bundle.manifest.family, Goal("find_object", "cup"))
        said = model.ground(random_patches(3, 40, 60), words, "cup")
    assert said.text and 0 <= said.confidence <= 1 and said.stages_ms["decode"] > 0
    assert bundle.manifest.answer is not None and bundle.manifest.parity["equal_tokens"] >= 0.99


def test_a_prompt_and_an_answer_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    folder = write_folder("llava", tmp_path / "model")
    arguments = ["--model", str(folder), "--out", str(tmp_path / "out"), "--answer-tokens", "4096"]
    with pytest.raises(UsageError, match="positions, llava has 512"):
        main(arguments)
    with pytest.raises(UsageError, match="4097 is more than a bundle answers"):
        main([*arguments, "--answer-tokens", "4097"])
    assert not (tmp_path / "out").exists()


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no weights": (lambda f: [w.unlink() for w in f.glob("*.safetensors")], "no \\*.safetensors"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json is missing"),
    "no images": (lambda f: (f / "preprocessor_config.json").unlink(), "preprocessor_config.json is missing"),
    "another": (lambda f: (f / "config.json").write_text(json.dumps({"model_type": "blip"})), "'blip'"),
    "cut weights": (lambda f: cut(next(f.glob("*.safetensors"))), "can't be read"),
    "no model": (lambda f: (f / "config.json").unlink(), "config.json is missing"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_an_incomplete_checkpoint_says_what_it_lacks(damage: str, tmp_path: Path) -> None:
    folder = write_folder("llava", tmp_path / "model")
    spoil, message = DAMAGE[damage]
    spoil(folder)
    with pytest.raises(UsageError, match=message):
        main([str(folder), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


IMAGES = {
    "qwen2_5_vl": (24, 32), "qwen3_vl": (24, 32), "florence2": (32, 32),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(n, kind, marks=[pytest.mark.slow] * ((n, kind) not in _POLICIES))
        for n in CONFIGS
        for kind in ("fc", "discrete")
    ],
)
def test_policies_on_every_family_become_bundles_that_drive_the_same(
    name: str, kind: str, tmp_path: Path
) -> None:
    backbone = write_folder(name, tmp_path / "backbone")
    height, width = IMAGES.get(name, (16, 16))
    image = {"height": height, "width": width, "resize": "bilinear", "mean": [0.5] * 3, "std": [0.5] * 3}
    words = {"replace": {}, "templates": ["{task}"], "end": " "}
    checkpoint = make_checkpoint(
        tmp_path / "policy", backbone, kind, state=["yaw_rad"], image=image, instruction=words
    )
    bundle = build_bundle(checkpoint, SourceOptions("policy", random_images=2))  # raises if they disagree
    assert bundle.manifest.parity["max_action_error"] < 1e-4
    with ActionModel(bundle) as model:
        still = Odometry(0, 0.0, 0.0, 0.5, Velocity(0.0, 0.0, 0.0))
        said = model.step(random_patches(3, 40, 60), "find the red cup", still).actions
    assert said.shape == (4, 3) and np.isfinite(said).all()


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("qwen3_vl", "int8"),
        pytest.param("florence2", "int4", marks=pytest.mark.slow),
        pytest.param("idefics", "int8", marks=pytest.mark.slow),
        pytest.param("paligemma", "fp32", marks=pytest.mark.slow),
    ],
)
def test_a_checkpoint_too_large_for_memory_is_exported_piece_by_piece(
    name: str,
    precision: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("export.large.checkpoint.LARGE_FP32_BYTES", 0)
    monkeypatch.setattr("export.graphs.weights.LEAST_BYTES", 1 << 10)
    folder = write_folder(name, tmp_path / "model")
    backbone = load_backbone(folder)
    family = family_name(backbone.model.config.model_type)
    samples = [random_patches(seed, 48, 64) for seed in range(4)]
    asked = Question(goal="describe_scene", target="", prompt=family_prompt(family, Goal("describe_scene")))
    write_set(
        tmp_path / "set",
        family,
        "random patches",
        [(part, image, [asked]) for part, image in zip(("calibrate", "held-out") * 2, samples, strict=True)],
    )
    arguments = ["--model", str(folder), "--out", str(tmp_path / "out"), "--precision", precision, "--json"]
    given = [] if precision == "fp32" else ["--calibration", str(tmp_path / "set"), "--force"]
    assert main([*arguments, *given]) == 0
    bundle = load_bundle(tmp_path / "out", allow_unproved=True)
    assert bundle.weights is not None and bundle.manifest.parity["logits_cosine"] > 0.9999
    assert {graph.precision for graph in bundle.manifest.graphs.values()} <= {precision, "int8"}
    if given:
        print_parity(bundle.read("parity"))
        assert f"{precision} against fp32" in capsys.readouterr().out
    with GroundingModel(bundle) as model:
        assert model.caption(samples[0], asked.prompt).stages_ms["decode"] > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out", "set"]  # no work is left


@pytest.mark.parametrize(
    ("file", "content"),
    [("config.json", "{"), ("config.json", "[]"), ("tokenizer.json", "{"), ("generation_config.json", "[")],
)
def test_damaged_json_is_no_bug(file: str, content: str, tmp_path: Path) -> None:
    folder = write_folder("llava", tmp_path / "model")
    (folder / file).write_text(content)
    with pytest.raises(UsageError, match=file):
        main([str(folder), "--out", str(tmp_path / "out")])
