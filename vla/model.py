"""A vision-language-action policy: backbone, fusion, action and state tokens, history and head."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from edge.errors import UsageError
from vla.backbones.backbone import Backbone
from vla.fusion import Fusion, Inputs, StateToken
from vla.heads import HEADS, HeadConfig, build_head
from vla.heads.discrete import DiscreteHead
from vla.losses import LossConfig, Losses, continuous_loss, discrete_loss
from vla.sequence import Sequence, read
from vla.training_modes import TrainableConfig, set_trainable

HISTORIES = ("none", "post", "pre", "video")


@dataclass(frozen=True)
class VLAConfig:
    """The shape of a policy."""

    head: HeadConfig = field(default_factory=HeadConfig)
    history: str = "post"
    window: int = 8  # W; 1 for history none
    action_tokens: int = 1  # L, continuous heads only
    hand_camera: bool = False
    state_pose_dims: int = 0  # 6 for an arm; 0: no state token
    bins: int = 256  # discrete head only
    first_id: int = 0  # discrete head only: lowest action id, which stands for the highest action
    loss: LossConfig = field(default_factory=LossConfig)
    trainable: TrainableConfig = field(default_factory=TrainableConfig)

    @property
    def discrete(self) -> bool:
        return self.head.kind == "discrete"

    def check(self, backbone: Backbone) -> None:
        """Check that the parts fit together. Raises UsageError if they don't."""
        if self.head.kind not in (*HEADS, "discrete"):
            raise UsageError(f"unknown head {self.head.kind!r}", f"it may be {', '.join(HEADS)} or discrete")
        if self.history not in HISTORIES:
            raise UsageError(f"unknown history {self.history!r}", f"it may be {', '.join(HISTORIES)}")
        if self.window < 1 or (self.history == "none" and self.window != 1):
            raise UsageError(
                f"history {self.history} does not go with a window of {self.window}",
                "history none has a window of 1, all others have 1 or more",
            )
        if self.discrete and self.history == "post":
            raise UsageError(
                "history post needs a head behind the language model, which the discrete head is not",
                "set history to none, pre or video",
            )
        if self.history == "pre" and not backbone.interleaves:
            raise UsageError(
                f"{backbone.family} can't have answers between its frames, which history pre needs",
                "use history video",
            )
        if self.discrete and not 0 < self.first_id <= backbone.vocabulary - self.bins:
            ids, limit = f"{self.first_id}..{self.first_id + self.bins - 1}", backbone.vocabulary - 1
            raise UsageError(f"action ids {ids} of the discrete head must lie in 1..{limit}")


@dataclass(frozen=True)
class Targets:
    """The right actions of W steps."""

    actions: Tensor  # (B, W, T, A): pose in [-1, 1], gripper 0 or 1; discrete: int64 action ids
    mask: Tensor  # (B, W, T) bool: the action counts


@dataclass(frozen=True)
class LanguageTargets:
    """The right answer of a vision-language model."""

    ids: Tensor  # (B, n) int64, ending in the family's end id
    mask: Tensor  # (B, n) bool: the token counts


class VLA(nn.Module):
    """Trains on windows with `forward`. It holds weights alone; `vla.rollout.Rollout` drives with them."""

    def __init__(self, backbone: Backbone, config: VLAConfig) -> None:
        super().__init__()
        config.check(backbone)
        self.config = config
        self.backbone = backbone
        set_trainable(backbone, config.trainable)
        width = backbone.width
        dims = config.state_pose_dims
        self.state = StateToken(dims, width) if dims else None
        self.fusion = Fusion(backbone, self.state, config.hand_camera)
        self.head = None
        if not config.discrete:
            self.action_token = nn.Parameter(torch.zeros(width))
            # A clip is one step to the head.
            window = 1 if config.history == "video" else config.window
            self.head = build_head(width, config.action_tokens, window, config.head)

    @property
    def discrete(self) -> DiscreteHead:
        """The discrete head. Raises ValueError if the policy has a continuous one."""
        config = self.config
        if not config.discrete:
            raise ValueError(f"a policy with a head of kind {config.head.kind} has no action ids")
        sizes = config.head.horizon, config.head.action_dims
        return DiscreteHead(self.backbone, config.first_id, config.bins, *sizes)

    def _sequence(self, inputs: Inputs, answers: list[Tensor], ended: bool = True) -> Sequence:
        build = self.fusion.clip if self.config.history == "video" else self.fusion.steps
        return build(inputs, answers, ended)

    def _steps(self, inputs: Inputs) -> int:
        steps = inputs.valid.shape[1]
        if steps > self.config.window:
            raise ValueError(f"inputs of {steps} steps, but the policy's window is {self.config.window}")
        return 1 if self.config.history == "video" else steps

    def features(self, inputs: Inputs) -> Tensor:
        """Hidden states at the action tokens, (B, S, L, D); S is 1 for a clip, else the steps of `inputs`."""
        rows, steps = len(inputs.valid), self._steps(inputs)
        if inputs.features is not None:
            return inputs.features.to(self.action_token.dtype)
        if self.config.history == "post":
            inputs = inputs.as_single_steps()
        count = self.config.action_tokens
        token = self.action_token.to(self.backbone.dtype).expand(len(inputs.valid), count, -1)
        sequence = self._sequence(inputs, [token] * self._steps(inputs))
        hidden = read(self.backbone(sequence), sequence.answers)
        return hidden.reshape(rows, steps, count, -1).to(self.action_token.dtype)

    def actions(self, inputs: Inputs) -> Tensor:
        """Compute raw actions (B, S, T, A), see vla.heads. Raises ValueError if the head is discrete."""
        if self.head is None:
            raise ValueError("a discrete head gives tokens: use token_logits or generate")
        valid = inputs.valid[:, -1:] if self.config.history == "video" else inputs.valid
        return self.head(self.features(inputs), valid)

    def token_logits(self, inputs: Inputs, ids: Tensor) -> Tensor:
        """Logits (B, S, T * A, V) of the discrete head that predict each of the right ids (B, S, T, A)."""
        answers = [self.backbone.embed(step.flatten(1)) for step in ids.unbind(1)]
        return self.discrete.logits(self._sequence(inputs, answers), ids.shape[1])

    def forward(self, inputs: Inputs, targets: Targets | LanguageTargets) -> Losses:
        """Compute the losses of a batch of windows. Distributed training wraps this method alone.

        A clip is judged by its last step. Steps that did not happen do not count. Language targets answer
        the last image of the static camera and the ids.
        """
        if isinstance(targets, LanguageTargets):
            return Losses(self._language_loss(inputs, targets))
        config, steps = self.config, self._steps(inputs)
        actions = targets.actions[:, -steps:]
        mask = (targets.mask & inputs.valid[..., None])[:, -steps:]
        if not config.discrete:
            return continuous_loss(self.actions(inputs), actions, mask, config.head.gripper, config.loss)
        # Steps that are not there may hold any numbers, but embeddings need ids.
        ids = torch.where(inputs.valid[:, -steps:, None, None], actions, config.first_id)
        logits = self.token_logits(inputs, ids)
        return discrete_loss(logits, ids, mask, config.first_id, config.bins, config.loss)

    def _language_loss(self, inputs: Inputs, targets: LanguageTargets) -> Tensor:
        plain = Fusion(self.backbone, None, hand_camera=False)
        last = replace(inputs.last(), valid=torch.ones_like(inputs.valid[:, -1:]))
        sequence = plain.steps(last, [self.backbone.embed(targets.ids)], ended=False)
        logits = self.backbone.logits(read(self.backbone(sequence), sequence.answers - 1))
        labels = targets.ids.masked_fill(~targets.mask, -100)
        return nn.functional.cross_entropy(logits.flatten(0, 1).float(), labels.flatten())

    @torch.no_grad()
    def generate(self, inputs: Inputs, past: list[Tensor]) -> Tensor:
        """Generate the last step's action ids (B, T, A) with the discrete head.

        past: ids (B, T * A) of the steps before it, in history "pre".
        """
        answers = [self.backbone.embed(ids) for ids in past]
        return self.discrete.generate(self._sequence(inputs, answers, ended=False))

    def values(self, actions: Tensor) -> Tensor:
        """Turn raw actions (..., A) into those to drive: the gripper's number becomes 0 or 1."""
        if not self.config.head.gripper:
            return actions
        # Zero is sigmoid(logit) = 0.5 for a continuous head, and the middle of a discrete one's -1 and 1.
        return torch.cat([actions[..., :-1], (actions[..., -1:] > 0).to(actions.dtype)], dim=-1)
