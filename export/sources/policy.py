"""A trainer's checkpoint to a bundle that drives.

The bundle is made only when ONNX Runtime says the same as torch, over more steps than the head remembers.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from edge.bundle.bundle import Bundle, file_info, make_bundle, write_bundle
from edge.bundle.manifest import SCHEMA_VERSION, Manifest, StateInput, Target, Vocabulary
from edge.errors import BundleRefused
from edge.goals.prompts import with_target
from edge.model.actions import ActionModel, pipeline
from edge.model.images import image_to_tensor
from edge.model.tokenizer import GroundingTokenizer, PolicyTokenizer
from edge.records import BASE_ACTION, Image, Odometry, Velocity
from export.graphs.policy import policy_sources
from export.sources.checkpoint import Checkpoint, read_checkpoint
from export.sources.family import manifest_family
from export.sources.grounding import (
    check_floor_graph,
    graph_info,
    provenance,
    random_patches,
    tiny_vocabulary,
)
from vla.fusion import Inputs

GOALS = ("find_object",)
_MIN_PROMPT = 8  # tokens
_FREE_PROMPT = 24  # tokens that names of any words get besides
_LABELS = ("red cup", "blue box")  # of the two episodes that are compared
_MIN_EQUAL = 0.99  # share of tokens that must be the same; the rest are near-ties
_MAX_ERROR = 1e-3 * 2  # of actions in [-1, 1]


def export_policy(
    folder: Path,
    out: Path,
    name: str = "head",
    images: Sequence[Image] = (),
    random_images: int = 8,
    floor: bytes | None = None,
) -> Bundle:
    """`build_policy_bundle`, written to `out`; nothing is written where that raises."""
    bundle = build_policy_bundle(folder, name, images, random_images, floor)
    write_bundle(out, bundle)
    return bundle


def build_policy_bundle(
    folder: Path,
    name: str = "head",
    images: Sequence[Image] = (),
    random_images: int = 8,
    floor: bytes | None = None,
) -> Bundle:
    """Export a checkpoint's folder to an fp32 bundle, and compare it with torch on `images` (RGB uint8) and
    random ones. `floor` is the ONNX file that sees where the floor ends; without it nothing keeps the robot
    from driving into what its policy does not see.

    Raises UsageError where `folder` is no checkpoint that a bundle can drive, and BundleRefused when the two
    disagree or `floor` is something else.
    """
    checkpoint = read_checkpoint(folder)
    pipeline(checkpoint.head)
    if floor is not None:
        check_floor_graph(floor)
    tokenizer = (folder / "tokenizer.json").read_bytes()
    size = checkpoint.image.height, checkpoint.image.width
    sources = policy_sources(
        checkpoint.policy, *size, _prompt_tokens(checkpoint, _text(checkpoint, tokenizer))
    )
    graphs = {role: source.to_onnx() for role, source in sources.items()}
    if floor is not None:
        graphs["floor"] = floor
    contents = {**graphs, "tokenizer": tokenizer}
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name=name,
        family=manifest_family(checkpoint.policy.backbone),
        policy="head" if checkpoint.head.tokens is None else "token",
        goals=GOALS,
        prompts=dict.fromkeys(GOALS, checkpoint.prompt),
        vocabulary=tiny_vocabulary() if checkpoint.spec is None else Vocabulary(),
        image=checkpoint.image,
        action=BASE_ACTION,
        graphs={role: graph_info(role, content) for role, content in graphs.items()},
        files={"tokenizer": file_info("tokenizer.json", tokenizer)},
        target=Target(engine="onnxruntime"),
        provenance=provenance(hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()),
        parity={},
        head=checkpoint.head,
        prompt=checkpoint.spec,
    )
    pictures = [*images, *(random_patches(seed, *size) for seed in range(random_images))]
    parity = compare(checkpoint, make_bundle(manifest, contents), pictures)
    return make_bundle(manifest.model_copy(update={"parity": parity}), contents)


def _text(checkpoint: Checkpoint, tokenizer: bytes) -> GroundingTokenizer | PolicyTokenizer:
    return (
        GroundingTokenizer(tokenizer)
        if checkpoint.spec is None
        else PolicyTokenizer(tokenizer, checkpoint.spec)
    )


def _prompt_tokens(checkpoint: Checkpoint, text: GroundingTokenizer | PolicyTokenizer) -> int:
    """How many tokens a prompt may have. Raises UsageError when the tokenizer does not know its words."""
    targets = tiny_vocabulary() if checkpoint.spec is None else Vocabulary(kinds=("cup",), colours=("red",))
    prompts = [
        with_target(checkpoint.prompt, f"{colour} {kind}")
        for kind, colour in zip(targets.kinds, targets.colours, strict=False)
    ]
    longest = max(len(text.prompt_ids(prompt)) for prompt in prompts)
    return max(_MIN_PROMPT, longest) if checkpoint.spec is None else longest + _FREE_PROMPT


def compare(checkpoint: Checkpoint, bundle: Bundle, images: Sequence[Image]) -> dict[str, float]:
    """Drive torch and the bundle through two episodes of more than 2 W steps on the images. Raises
    BundleRefused when an action is more than 0.001 of its range off, or tokens are others."""
    head = checkpoint.head
    steps = max(len(images), 2 * head.window + 2)
    text, rng = _text(checkpoint, bundle.read("tokenizer")), np.random.default_rng(1)
    errors: list[float] = []
    equal: list[bool] = []
    with ActionModel(bundle) as model:
        for label in _LABELS:
            prompt = with_target(checkpoint.prompt, label)
            model.reset()
            checkpoint.policy.reset()
            for step in range(steps):
                image, odometry = images[step % len(images)], _random_odometry(head.state, rng)
                said = model.step(image, prompt, odometry).actions
                wanted = torch_step(checkpoint, text, image, prompt, odometry)
                errors.append(float(np.abs(said - wanted).max()))
                equal += np.isclose(said, wanted, atol=1e-6, rtol=0).ravel().tolist()
    parity = {"steps": float(len(errors)), "max_action_error": max(errors)}
    if head.tokens is not None:
        parity["equal_tokens"] = sum(equal) / len(equal)
    wrong = parity["equal_tokens"] < _MIN_EQUAL if head.tokens is not None else max(errors) > _MAX_ERROR
    if wrong:
        raise BundleRefused(
            f"ONNX Runtime and torch disagree: {parity}", "check the export with random inputs"
        )
    return parity


@torch.inference_mode()
def torch_step(
    checkpoint: Checkpoint,
    text: GroundingTokenizer | PolicyTokenizer,
    image: Image,
    prompt: str,
    odometry: Odometry,
) -> np.ndarray:
    """What `VLA.step` says, (T, A) in [-1, 1]. It shares no code with the exported graphs, nor with what the
    runtime makes of the odometry."""
    layout, head = checkpoint.policy.backbone.layout, checkpoint.head
    # The fusion itself puts there what a family writes behind the image.
    ahead = len(layout.after) if checkpoint.spec is None else len(checkpoint.spec.after_image)
    ids = torch.tensor([text.prompt_ids(prompt)[ahead:]])
    state = None if head.state is None else torch_state(odometry, head.state)
    inputs = Inputs(
        images=torch.from_numpy(image_to_tensor(image, checkpoint.image))[None],
        ids=ids,
        ids_mask=torch.ones_like(ids, dtype=torch.bool),
        valid=torch.ones(1, 1, dtype=torch.bool),
        state=state,
    )
    return checkpoint.policy.step(inputs)[0].double().numpy()


def torch_state(odometry: Odometry, wanted: StateInput) -> torch.Tensor:
    """What a policy is told of the odometry, (1, 1, S + 1): scaled as in training, and 0 for the bit of a
    gripper, which a base has not."""
    velocity = odometry.velocity
    measured = {
        "x_m": odometry.x_m,
        "y_m": odometry.y_m,
        "yaw_rad": odometry.yaw_rad,
        "linear_x_m_s": velocity.linear_x_m_s,
        "linear_y_m_s": velocity.linear_y_m_s,
        "angular_z_rad_s": velocity.angular_z_rad_s,
    }
    scaled = [
        (measured[name] - mean) / (std + 1e-6)
        for name, mean, std in zip(wanted.columns, wanted.mean, wanted.std, strict=True)
    ]
    return torch.tensor([[[*scaled, 0.0]]], dtype=torch.float32)


def _random_odometry(state: StateInput | None, rng: np.random.Generator) -> Odometry:
    """Such as the policy was trained with, and no two numbers alike: one in another's place is seen."""
    names = ("x_m", "y_m", "yaw_rad", "linear_x_m_s", "linear_y_m_s", "angular_z_rad_s")
    drawn = dict(zip(names, rng.normal(0.0, 1.0, len(names)).tolist(), strict=True))
    if state is not None:
        drawn |= dict(zip(state.columns, rng.normal(state.mean, state.std).tolist(), strict=True))
    return Odometry(
        0,
        drawn["x_m"],
        drawn["y_m"],
        drawn["yaw_rad"],
        Velocity(drawn["linear_x_m_s"], drawn["linear_y_m_s"], drawn["angular_z_rad_s"]),
    )
