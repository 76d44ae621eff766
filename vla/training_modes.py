"""Which of a backbone's weights learn."""

from dataclasses import dataclass
from typing import Any

from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from edge.errors import UsageError
from vla.backbones.backbone import Backbone

MODES = ("frozen", "last", "lora", "full")


@dataclass(frozen=True)
class TrainableConfig:
    """`mode` is frozen, last (the decoder's last layers), lora (adapters on all its layers), or full."""

    mode: str = "full"
    last_layers: int = 2
    lora_rank: int = 64  # the three defaults are those of RoboVLMs
    lora_alpha: int = 16
    lora_dropout: float = 0.05


def set_trainable(backbone: Backbone, config: TrainableConfig) -> None:
    """Choose the backbone's weights that learn; `lora` adds adapters to the net, so call it once.

    `last` and `lora` apply to the layers of `backbone.decoder`, `lora` to all linear maps in them. Raises
    UsageError for an unknown mode, and for more last layers than there are.
    """
    if config.mode not in MODES:
        raise UsageError(f"unknown mode {config.mode!r} of trainable", f"it may be {', '.join(MODES)}")
    layers: Any = backbone.decoder.layers
    if config.mode == "last" and not 1 <= config.last_layers <= len(layers):
        raise UsageError(
            f"last_layers is {config.last_layers}, but the decoder has {len(layers)} layers",
            f"set it to 1..{len(layers)}",
        )
    backbone.requires_grad_(config.mode == "full")
    if config.mode == "last":
        for layer in layers[-config.last_layers :]:
            layer.requires_grad_(True)
    elif config.mode == "lora":
        linear = {
            name.rpartition(".")[2]
            for name, module in layers.named_modules()
            if isinstance(module, nn.Linear)
        }
        lora = LoraConfig(
            r=config.lora_rank,
            lora_alpha=config.lora_alpha,
            lora_dropout=config.lora_dropout,
            target_modules=sorted(linear),
        )
        inject_adapter_in_model(lora, layers)
