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
    """The shape of a policy. `head.kind` is fc, lstm, gpt or discrete."""

    head: HeadConfig = field(default_factory=HeadConfig)
    history: str = "post"
    window: int = 8  # W; 1 for history none
    action_tokens: int = 1  # L, of continuous heads
    hand_camera: bool = False
    state_pose_dims: int = 0  # 6 for an arm; 0: no state token
    bins: int = 256  # of the discrete head
    first_id: int = 0  # lowest action id of the discrete head; it belongs to the highest action
    loss: LossConfig = field(default_factory=LossConfig)
    trainable: TrainableConfig = field(default_factory=TrainableConfig)

    @property
    def discrete(self) -> bool:
        return self.head.kind == "discrete"

    def check(self, backbone: Backbone) -> None:
        """Raises UsageError for what makes no sense together."""
        if self.head.kind not in (*HEADS, "discrete"):
            raise UsageError(f"head {self.head.kind!r} is none of {', '.join(HEADS)}, discrete")
        if self.history not in HISTORIES:
            raise UsageError(f"history {self.history!r} is none of {', '.join(HISTORIES)}")
        if self.window < 1 or (self.history == "none" and self.window != 1):
            raise UsageError(
                f"history {self.history} with a window of {self.window}; none has 1, others >= 1"
            )
        if self.discrete and self.history == "post":
            raise UsageError("the discrete head answers out of the language model, so nothing comes post it")
        if self.history == "pre" and not backbone.interleaves:
            raise UsageError(f"{backbone.family} reads all frames at once, answers apart: use history video")
        if self.discrete and not 0 < self.first_id <= backbone.vocabulary - self.bins:
            ids, limit = f"{self.first_id}..{self.first_id + self.bins - 1}", backbone.vocabulary - 1
            raise UsageError(f"action ids {ids} of the discrete head must lie in 1..{limit}")


@dataclass(frozen=True)
class Targets:
    """What a policy should have said at W steps."""

    actions: Tensor  # (B, W, T, A): pose in [-1, 1], gripper 0 or 1; discrete: int64 action ids
    mask: Tensor  # (B, W, T) bool: counts


@dataclass(frozen=True)
class LanguageTargets:
    """What a vision-language model should have said."""

    ids: Tensor  # (B, n) int64, ending in the family's end id
    mask: Tensor  # (B, n) bool: counts


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
            # A head after a clip sees one step.
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
        """Of a continuous head: raw actions (B, S, T, A), see vla.heads."""
        if self.head is None:
            raise ValueError("a discrete head gives tokens: use token_logits or generate")
        valid = inputs.valid[:, -1:] if self.config.history == "video" else inputs.valid
        return self.head(self.features(inputs), valid)

    def token_logits(self, inputs: Inputs, ids: Tensor) -> Tensor:
        """Of the discrete head, told the right ids (B, S, T, A): what predicts each, (B, S, T * A, V)."""
        answers = [self.backbone.embed(step.flatten(1)) for step in ids.unbind(1)]
        return self.discrete.logits(self._sequence(inputs, answers), ids.shape[1])

    def forward(self, inputs: Inputs, targets: Targets | LanguageTargets) -> Losses:
        """The losses of a batch of windows. All training goes through here: distributed training wraps it.

        A clip is judged by its last step. Steps that did not happen do not count. Words are the answers of
        vision-language data to the last static image and the ids.
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

    def _language_loss(self, inputs: Inputs, words: LanguageTargets) -> Tensor:
        plain = Fusion(self.backbone, None, hand_camera=False)
        last = replace(inputs.last(), valid=torch.ones_like(inputs.valid[:, -1:]))
        sequence = plain.steps(last, [self.backbone.embed(words.ids)], ended=False)
        logits = self.backbone.logits(read(self.backbone(sequence), sequence.answers - 1))
        labels = words.ids.masked_fill(~words.mask, -100)
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
