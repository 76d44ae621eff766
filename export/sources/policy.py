"""The checkpoint of a policy that training wrote, to a bundle that drives.

It is compared with torch over more steps than its head remembers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from edge.bundle.bundle import Bundle, file_info
from edge.bundle.manifest import SCHEMA_VERSION, Manifest, StateInput, Target, Vocabulary
from edge.goals.prompts import with_target
from edge.model.actions import ActionModel, pipeline
from edge.model.images import image_to_tensor
from edge.model.tokenizer import GroundingTokenizer, PolicyTokenizer
from edge.records import BASE_ACTION, Image, Odometry, Velocity
from export.graphs.family import GraphSource
from export.graphs.policy import policy_sources
from export.sources.checkpoint import Checkpoint
from export.sources.compare import MIN_EQUAL, Differences, TorchParity
from export.sources.manifest import family_name, provenance, tiny_vocabulary
from export.sources.policy_files import TrainedPolicy, read_trained_policy
from vla.fusion import Inputs
from vla.rollout import Rollout

GOALS = ("find_object",)
_MIN_PROMPT = 8  # tokens
_FREE_PROMPT = 24  # tokens beside the longest prompt, for names of any words
_LABELS = ("red cup", "blue box")  # targets of the two episodes that are compared
_MAX_ERROR = 1e-3 * 2  # in actions of the range [-1, 1]


@dataclass(frozen=True)
class PolicyCheckpoint(Checkpoint):
    """A policy that predicts actions, on the backbone of any family."""

    trained: TrainedPolicy
    prompt_tokens: int  # that follow the image, at most

    def graphs(self) -> dict[str, GraphSource]:
        image = self.trained.image
        return policy_sources(self.trained.policy, image.height, image.width, self.prompt_tokens)

    def compare(self, bundle: Bundle, images: Sequence[Image]) -> TorchParity:
        """Step torch and the bundle through two episodes of more than 2 W steps on the images.

        Of tokens the share of equal ones counts, of other actions the largest difference.
        """
        head = self.trained.head
        steps = max(len(images), 2 * head.window + 2)
        text, rng = _text(self.trained, bundle.read("tokenizer")), np.random.default_rng(1)
        differences = Differences()
        with ActionModel(bundle) as model:
            for label in _LABELS:
                prompt = with_target(self.trained.prompt, label)
                model.reset()
                rollout = Rollout(self.trained.policy)
                for step in range(steps):
                    image, odometry = images[step % len(images)], _random_odometry(head.state, rng)
                    found = model.step(image, prompt, odometry).actions
                    expected = torch_step(self.trained, rollout, text, image, prompt, odometry)
                    differences.add_values(found, expected)
                    equal = np.isclose(found, expected, atol=1e-6, rtol=0)
                    differences.add_choices(*equal.ravel().tolist())
        figures = {"steps": float(steps * len(_LABELS)), "max_action_error": differences.max_error}
        if head.tokens is None:
            return TorchParity(figures, most={"max_action_error": _MAX_ERROR}, least={})
        figures["equal_tokens"] = differences.share_equal
        return TorchParity(figures, most={}, least={"equal_tokens": MIN_EQUAL})


def read_policy(folder: Path, name: str) -> PolicyCheckpoint:
    """Read the checkpoint of a bundle that will have this name.

    Raises UsageError if it is incomplete, damaged, or nothing that a bundle can drive, BundleRefused if its
    scalings don't fit each other.
    """
    trained = read_trained_policy(folder)
    pipeline(trained.head)
    tokenizer = (folder / "tokenizer.json").read_bytes()
    room = _prompt_tokens(trained, _text(trained, tokenizer))
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name=name,
        family=family_name(trained.policy.backbone.model.config.model_type),
        policy="head" if trained.head.tokens is None else "token",
        goals=GOALS,
        prompts=dict.fromkeys(GOALS, trained.prompt),
        vocabulary=tiny_vocabulary() if trained.spec is None else Vocabulary(),
        image=trained.image,
        action=BASE_ACTION,
        graphs={},
        files={"tokenizer": file_info("tokenizer.json", tokenizer)},
        target=Target(engine="onnxruntime"),
        provenance=provenance([folder / "model.safetensors"]),
        parity={},
        head=trained.head,
        prompt=trained.spec,
    )
    return PolicyCheckpoint(manifest, tokenizer, trained, room)


def _text(trained: TrainedPolicy, tokenizer: bytes) -> GroundingTokenizer | PolicyTokenizer:
    return GroundingTokenizer(tokenizer) if trained.spec is None else PolicyTokenizer(tokenizer, trained.spec)


def _prompt_tokens(trained: TrainedPolicy, text: GroundingTokenizer | PolicyTokenizer) -> int:
    """Choose how many tokens a prompt may have.

    Raises UsageError if the tokenizer does not know its words.
    """
    targets = tiny_vocabulary() if trained.spec is None else Vocabulary(kinds=("cup",), colours=("red",))
    prompts = [
        with_target(trained.prompt, f"{colour} {kind}")
        for kind, colour in zip(targets.kinds, targets.colours, strict=False)
    ]
    longest = max(len(text.prompt_ids(prompt)) for prompt in prompts)
    return max(_MIN_PROMPT, longest) if trained.spec is None else longest + _FREE_PROMPT


@torch.inference_mode()
def torch_step(
    trained: TrainedPolicy,
    rollout: Rollout,
    text: GroundingTokenizer | PolicyTokenizer,
    image: Image,
    prompt: str,
    odometry: Odometry,
) -> np.ndarray:
    """Compute the actions of `Rollout.step`, (T, A) in [-1, 1].

    The function shares no code with the exported graphs, nor with the way in which the runtime reads the
    odometry.
    """
    layout, head = trained.policy.backbone.layout, trained.head
    # The fusion itself adds the tokens that a family writes behind the image.
    ahead = len(layout.after) if trained.spec is None else len(trained.spec.after_image)
    ids = torch.tensor([text.prompt_ids(prompt)[ahead:]])
    state = None if head.state is None else torch_state(odometry, head.state)
    inputs = Inputs(
        images=torch.from_numpy(image_to_tensor(image, trained.image))[None],
        ids=ids,
        ids_mask=torch.ones_like(ids, dtype=torch.bool),
        valid=torch.ones(1, 1, dtype=torch.bool),
        state=state,
    )
    return rollout.step(inputs)[0].double().numpy()


def torch_state(odometry: Odometry, wanted: StateInput) -> torch.Tensor:
    """Scale the state that a policy takes from the odometry as in training, (1, 1, S + 1).

    The last number is the bit of a gripper, which a base does not have: 0.
    """
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
    """Draw odometry such as the policy was trained with.

    No two numbers are alike, so that one in another's place is found out.
    """
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
