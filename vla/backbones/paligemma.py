"""A tiny PaliGemma from transformers' own classes: SigLIP behind a convolutional stem, and Gemma 1.

Image features: transformers 5.23 neither divides them by sqrt(D) nor multiplies them back; Gemma's embedding
layer alone scales by sqrt(D), which gives the same as the original.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_model
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers.models.gemma.configuration_gemma import GemmaConfig
from transformers.models.paligemma.configuration_paligemma import PaliGemmaConfig
from transformers.models.paligemma.modeling_paligemma import PaliGemmaForConditionalGeneration
from transformers.models.siglip.configuration_siglip import SiglipVisionConfig

from edge.bundle.published import read_json
from edge.errors import UsageError, reason_of
from vla.backbones.tokenizer import BOS, EOS, IMAGE, LOC_COUNT, NEWLINE, PAD, loc_token
from vla.backbones.weights import load_exactly

_AGAIN = "get the checkpoint again, all of its files"


@dataclass(frozen=True)
class TinyConfig:
    """Sizes of the net. Image sides are pixels and multiples of `stride`."""

    image_height: int = 144
    image_width: int = 192
    stride: int = 16  # pixels per image token; the stem halves four times
    stem_widths: tuple[int, int, int] = (32, 64, 96)  # channels at 1/2, 1/4 and 1/8 of the image
    stem_blocks: tuple[int, int, int, int] = (0, 1, 2, 1)  # residual blocks at 1/2, 1/4, 1/8 and 1/16
    vision_width: int = 128
    vision_layers: int = 4
    vision_heads: int = 4
    vision_mlp: int = 512
    text_width: int = 128
    text_layers: int = 4
    text_heads: int = 4
    text_kv_heads: int = 1
    text_mlp: int = 512
    vocab_size: int = 1068
    max_positions: int = 256
    initializer_range: float = 0.05  # larger than Gemma's 0.02: the net is narrow
    attention: str = "eager"  # three times faster to train than sdpa on a CPU at this length

    @property
    def grid(self) -> tuple[int, int]:
        """Number of image tokens down and across."""
        return self.image_height // self.stride, self.image_width // self.stride

    @property
    def image_tokens(self) -> int:
        """Number of image tokens."""
        return self.grid[0] * self.grid[1]


def _convolution(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    # Batch normalisation folds into the convolution at export: free at run time.
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a skip, (B, C, H, W) -> the same, not negative. Begins as identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _convolution(width, width, 1)
        self.second = _convolution(width, width, 1)
        last: Any = self.second[1]
        nn.init.zeros_(last.weight)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(torch.relu(self.first(x))))


class StemBlock(nn.Module):
    """Halves the image and refines it: (B, C, H, W) -> (B, outputs, H / 2, W / 2)."""

    def __init__(self, inputs: int, outputs: int, blocks: int) -> None:
        super().__init__()
        self.down = _convolution(inputs, outputs, 2)
        self.blocks = nn.Sequential(*(ResidualBlock(outputs) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(torch.relu(self.down(x)))


class ConvStem(nn.Module):
    """Replaces SigLIP's patch embedding: (B, 3, H, W) -> (B, tokens, vision width), row by row.

    Four convolutions of stride 2 learn edges faster than one 16x16 patch convolution, so that a small net
    learns positions in an hour on a CPU.
    """

    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        widths = (3, *config.stem_widths, config.vision_width)
        stages = zip(widths, widths[1:], config.stem_blocks, strict=False)
        self.stages = nn.Sequential(*(StemBlock(i, o, blocks) for i, o, blocks in stages))
        self.projection = nn.Linear(config.vision_width, config.vision_width)
        self.position = nn.Parameter(sine_positions(*config.grid, config.vision_width))

    def forward(self, pixel_values: Tensor, interpolate_pos_encoding: bool = False) -> Tensor:
        features = self.stages(pixel_values).flatten(2).transpose(1, 2)
        return self.projection(features) + self.position


def sine_positions(height: int, width: int, dims: int) -> Tensor:
    """Make 2-D position embeddings (1, height * width, dims): half the dims for rows, half for columns."""
    if dims % 4:
        raise ValueError(f"sine positions need a multiple of 4 dims, got {dims}")
    frequencies = torch.exp(torch.arange(dims // 4) * (-math.log(100.0) / (dims // 4)))
    rows = torch.arange(height)[:, None] * frequencies
    columns = torch.arange(width)[:, None] * frequencies
    row_part = torch.cat([rows.sin(), rows.cos()], dim=1)[:, None].expand(height, width, dims // 2)
    column_part = torch.cat([columns.sin(), columns.cos()], dim=1)[None].expand(height, width, dims // 2)
    return torch.cat([row_part, column_part], dim=2).reshape(1, height * width, dims)


def smooth_locations(count: int, dims: int, std: float) -> Tensor:
    """Make embeddings (count, dims) whose neighbours are alike, by projecting Fourier features at random."""
    position = torch.linspace(0, 1, count)[:, None]
    octaves = torch.arange(7)
    angles = position * math.pi * 2.0**octaves
    features = torch.cat([angles.sin(), angles.cos()], dim=1) / (1 + octaves).repeat(2).sqrt()
    embeddings = features @ torch.randn(features.shape[1], dims)
    return embeddings * (std / embeddings.std())


def _transformers_config(config: TinyConfig) -> PaliGemmaConfig:
    vision = SiglipVisionConfig(
        hidden_size=config.vision_width,
        intermediate_size=config.vision_mlp,
        num_hidden_layers=config.vision_layers,
        num_attention_heads=config.vision_heads,
        image_size=config.image_width,
        patch_size=config.stride,
        vision_use_head=False,
    )
    text = GemmaConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.text_width,
        intermediate_size=config.text_mlp,
        num_hidden_layers=config.text_layers,
        num_attention_heads=config.text_heads,
        num_key_value_heads=config.text_kv_heads,
        head_dim=config.text_width // config.text_heads,
        max_position_embeddings=config.max_positions,
        initializer_range=config.initializer_range,
        pad_token_id=PAD,
        eos_token_id=EOS,
        bos_token_id=BOS,
    )
    settings: dict[str, Any] = {"attn_implementation": config.attention}
    settings |= {"pad_token_id": PAD, "eos_token_id": EOS, "bos_token_id": BOS}
    return PaliGemmaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=IMAGE,
        vocab_size=config.vocab_size,
        projection_dim=config.text_width,
        hidden_size=config.text_width,
        **settings,
    )


def build_paligemma(config: TinyConfig) -> PaliGemmaForConditionalGeneration:
    """Build the net with random weights; seed torch before for the same ones.

    Training: `model(input_ids=..., attention_mask=..., token_type_ids=..., pixel_values=..., labels=...)` on
    rows of `prompt_ids(...) + answer + [EOS]`, padded on the right. `pixel_values` is (B, 3, H, W) in
    [-1, 1]; `token_type_ids` is 0 on the prompt (bidirectional) and 1 on the answer and padding (causal);
    `labels` is -100 on prompt and padding, and the same ids elsewhere: the loss shifts them. Without
    `token_type_ids`, transformers 5.23 may let all tokens see each other, answers too: always pass them.

    Logits of the answer only: `logits_to_keep=n` keeps the last n positions (then compute the loss yourself).
    Generation: `model.generate(input_ids, pixel_values=..., token_type_ids=zeros, do_sample=False)`; there,
    leaving out `token_type_ids` makes even the prompt causal.
    """
    model = PaliGemmaForConditionalGeneration(_transformers_config(config))
    tower: Any = model.model.vision_tower
    tower.embeddings = ConvStem(config)
    weight: Any = model.get_input_embeddings().weight
    with torch.no_grad():
        # The location tokens are the last of the vocabulary.
        weight[-LOC_COUNT:] = smooth_locations(LOC_COUNT, config.text_width, config.initializer_range)
    return model


def prompt_ids(tokenizer: Tokenizer, text: str, image_tokens: int = TinyConfig().image_tokens) -> list[int]:
    """Tokenize PaliGemma's prompt: [image] * N + [bos] + words + [newline]; `text` has no newline."""
    return [IMAGE] * image_tokens + [BOS] + tokenizer.encode(text + NEWLINE).ids


def save(
    model: PaliGemmaForConditionalGeneration, config: TinyConfig, tokenizer: Tokenizer, folder: Path
) -> None:
    """Write config.json, model.safetensors, tokenizer.json and tiny.json into `folder`."""
    if tokenizer.token_to_id(loc_token(LOC_COUNT - 1)) != config.vocab_size - 1:
        raise ValueError("the tokenizer's last token must be the last location token")
    folder.mkdir(parents=True, exist_ok=True)
    model.config.save_pretrained(folder)
    save_model(model, str(folder / "model.safetensors"))
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tiny.json").write_text(json.dumps(asdict(config), indent=2) + "\n")


def load(folder: Path) -> tuple[PaliGemmaForConditionalGeneration, TinyConfig, Tokenizer]:
    """Load what `save` wrote, in evaluation mode.

    Raises UsageError for a tiny.json with other keys or with sizes that fit no net, for weights that are not
    exactly those of its net, and for a damaged tokenizer.
    """
    file = folder / "tiny.json"
    fields = read_json(file)
    wanted = TinyConfig.__dataclass_fields__.keys()
    odd = [f"key {k!r} is missing" for k in wanted if k not in fields]
    odd += [f"unknown key {k!r}" for k in fields if k not in wanted]
    if odd:
        raise UsageError(f"{file}: {odd[0]}", "the folder is of another version: train or fetch it anew")
    try:
        for name in ("stem_widths", "stem_blocks"):
            fields[name] = tuple(fields[name])
        config = TinyConfig(**fields)
        model = build_paligemma(config)
    except Exception as error:  # sizes that fit no net fail in any layer, in any way
        raise UsageError(f"{file} describes no net: {reason_of(error)}", _AGAIN) from error
    load_exactly(model, folder / "model.safetensors")
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # tokenizers raises plain Exception
        raise UsageError(f"{folder / 'tokenizer.json'} can't be read: {reason_of(error)}", _AGAIN) from error
    return model.eval(), config, tokenizer
