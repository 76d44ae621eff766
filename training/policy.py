"""Builds a policy from a run's config, and loads one from a checkpoint's folder."""

from pathlib import Path

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer

from edge.errors import UsageError, reason_of
from training.config import BackboneSettings, Config, load_config
from training.datasets.statistics import stored_statistics
from training.pipeline.processing import Processing
from vla.backbones.backbone import Backbone
from vla.backbones.loading import PINNED_FAMILIES, load_backbone, load_pinned
from vla.checkpoint import load_vla, save_vla
from vla.heads import HeadConfig
from vla.losses import LossConfig
from vla.model import VLA, VLAConfig
from vla.training_modes import TrainableConfig

CONFIG, STATISTICS, TOKENIZER = "config.yaml", "statistics.json", "tokenizer.json"


def open_backbone(settings: BackboneSettings) -> tuple[Backbone, Tokenizer]:
    """Open a backbone's folder. Raises UsageError if it is not what the settings say."""
    dtype = getattr(torch, settings.dtype)
    file = settings.path / TOKENIZER
    if not file.is_file():
        raise UsageError(
            f"{file} is missing",
            "set backbone.path to the folder of a checkpoint that has its tokenizer.json",
        )
    if settings.family in PINNED_FAMILIES:
        backbone = load_pinned(settings.family, settings.path, settings.sha256 or "").to(dtype)
    else:
        backbone = load_backbone(settings.path, settings.family, dtype)
    return backbone, Tokenizer.from_file(str(file))


def build_policy(config: Config, backbone: Backbone, processing: Processing) -> VLA:
    """Build the policy on a backbone, with the weights of `start` if the config has it."""
    settings, head = config.policy, config.policy.head
    shape = VLAConfig(
        head=HeadConfig(
            head.kind,
            settings.horizon,
            len(processing.action.names),
            processing.gripper,
            head.hidden,
            head.layers,
            head.attention_heads,
            head.mlp,
            head.pool,
        ),
        history=settings.history,
        window=settings.window,
        action_tokens=settings.action_tokens,
        hand_camera=config.inputs.hand_camera is not None,
        state_pose_dims=processing.pose_dims,
        bins=head.bins,
        first_id=processing.tokens.ids[0] if processing.tokens else 0,
        loss=LossConfig(settings.loss.pose, settings.loss.gripper_weight, settings.loss.step_weights),
        trainable=TrainableConfig(
            config.backbone.trainable,
            config.backbone.last_layers,
            config.backbone.lora_rank,
            config.backbone.lora_alpha,
            config.backbone.lora_dropout,
        ),
    )
    if config.start is None:
        return VLA(backbone, shape)
    return _started(VLA(backbone, shape), config.start)


def _started(policy: VLA, folder: Path) -> VLA:
    """Load an earlier policy's weights. Only the backbone must fit: a new robot's head may be another."""
    file = folder / "model.safetensors"
    try:
        found = load_file(str(file))
    except (OSError, SafetensorError) as error:
        raise UsageError(
            f"start: cannot read {file}: {reason_of(error)}",
            "set start to a folder that training wrote, such as OUT/best",
        ) from error
    own = policy.state_dict()
    fitting = {k: v for k, v in found.items() if k in own and own[k].shape == v.shape}
    # Tied weights are stored once, so they are compared by their address.
    filled = {own[name].data_ptr() for name in fitting}
    strange = [k for k in found if k not in fitting] + [
        k for k, v in own.items() if v.data_ptr() not in filled
    ]
    wrong = next((name for name in strange if name.startswith("backbone.")), None)
    if wrong is not None:
        raise UsageError(
            f"start: {folder} holds another backbone than this run's: {wrong}",
            "use that run's backbone and, for lora, its settings",
        )
    policy.load_state_dict(fitting, strict=False)
    return policy


def save_policy(folder: Path, policy: VLA, processing: Processing, statistics: Path) -> None:
    """Write all that driving and exporting need, for `load_policy`."""
    save_vla(policy, folder)
    processing.tokenizer.save(str(folder / TOKENIZER))
    (folder / STATISTICS).write_bytes(statistics.read_bytes())
    (folder / CONFIG).write_text(dump_config(processing.config))


def dump_config(config: Config) -> str:
    """Convert a config to YAML."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def load_policy(folder: Path) -> tuple[VLA, Processing]:
    """Load what `save_policy` wrote, in evaluation mode. Raises UsageError for a damaged folder."""
    for name in (CONFIG, STATISTICS, TOKENIZER):
        if not (folder / name).is_file():
            raise UsageError(f"{folder / name} is missing", "give a checkpoint's folder, such as OUT/best")
    config = load_config(folder / CONFIG)
    pinned = config.backbone.family in PINNED_FAMILIES
    policy = load_vla(folder, open_backbone(config.backbone)[0] if pinned else None)
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    statistics = stored_statistics(folder / STATISTICS, ())
    return policy, Processing(config, statistics, tokenizer, policy.backbone.vocabulary)
