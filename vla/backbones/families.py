"""The families whose modelling code is in transformers."""

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, EncoderDecoderCache
from transformers.masking_utils import create_causal_mask, create_sliding_window_causal_mask
from transformers.modeling_utils import PreTrainedModel
from transformers.models.florence2.modeling_florence2 import Florence2ForConditionalGeneration
from transformers.models.idefics.modeling_idefics import IdeficsForVisionText2Text
from transformers.models.idefics3.modeling_idefics3 import Idefics3ForConditionalGeneration
from transformers.models.kosmos2.modeling_kosmos2 import Kosmos2ForConditionalGeneration
from transformers.models.llava.modeling_llava import LlavaForConditionalGeneration
from transformers.models.paligemma.modeling_paligemma import PaliGemmaForConditionalGeneration
from transformers.models.smolvlm.modeling_smolvlm import SmolVLMForConditionalGeneration

from vla.backbones.backbone import Backbone, Layout, Markers
from vla.backbones.cache import CACHE
from vla.backbones.qwen import QwenVL
from vla.sequence import ANSWER, END, EncodedImages, Sequence, read


class PaliGemma(Backbone):
    """PaliGemma 1 and 2: each step's context attends both ways, answers only backwards."""

    family = "paligemma"
    classes: ClassVar = {"paligemma": PaliGemmaForConditionalGeneration}
    markers = Markers(end="<eos>", after=("<bos>",))

    def encode(self, images: Tensor) -> EncodedImages:
        return EncodedImages(self.model.get_image_features(images).pooler_output)

    def forward(self, sequence: Sequence, cache: Cache | None = None) -> Tensor:
        arguments: dict[str, Any] = {
            "config": self.text_config,
            "inputs_embeds": sequence.embeds,
            "attention_mask": sequence.mask,
            CACHE: cache,
        }
        if sequence.embeds.shape[1] > 1:  # a single token after a cache belongs to no block
            arguments["block_sequence_ids"] = sequence.blocks
        mask: Any = create_causal_mask(**arguments)
        if getattr(self.text_config, "sliding_window", None) is not None:  # PaliGemma 2
            mask = {
                "full_attention": mask,
                "sliding_attention": create_sliding_window_causal_mask(**arguments),
            }
        return self.decoder(
            inputs_embeds=sequence.embeds,
            attention_mask=mask,
            position_ids=sequence.positions[0] + 1,  # PaliGemma counts from 1
            **{CACHE: cache},
            use_cache=cache is not None,
        ).last_hidden_state


class Kosmos2(Backbone):
    """Kosmos-2: image features are L2-normalised before projection; the decoder itself scales tokens."""

    family = "kosmos-2"
    classes: ClassVar = {"kosmos-2": Kosmos2ForConditionalGeneration}
    markers = Markers(end="</s>", before=("<s>",), image_start=("<image>",), image_end=("</image>",))

    def __init__(self, model: PreTrainedModel, layout: Layout, config: dict[str, Any] | None = None) -> None:
        super().__init__(model, layout, config)
        # Each query attends to the whole image. Up to 5.22 transformers' fast attention masks them causally,
        # as if they were words.
        self.model.image_to_text_projection.x_attn.is_causal = False

    @property
    def decoder(self) -> Any:
        return self.model.text_model.model

    def encode(self, images: Tensor) -> EncodedImages:
        # These are the steps of Kosmos2ForConditionalGeneration.forward; transformers has no method for them.
        vision = self.model.vision_model
        features = vision.model.post_layernorm(vision(pixel_values=images).last_hidden_state)
        return EncodedImages(
            self.model.image_to_text_projection(torch.nn.functional.normalize(features, dim=-1))[0]
        )

    def forward(self, sequence: Sequence, cache: Cache | None = None) -> Tensor:
        first = self.decoder.embed_positions.padding_idx + 1
        return super().forward(replace(sequence, positions=(sequence.positions + first).contiguous()), cache)


class Llava(Backbone):
    """LLaVA 1.5."""

    family = "llava"
    classes: ClassVar = {"llava": LlavaForConditionalGeneration}
    markers = Markers(end="</s>", before=("<s>",))

    def encode(self, images: Tensor) -> EncodedImages:
        return EncodedImages(torch.stack(list(self.model.get_image_features(images).pooler_output)))


class SmolVLM(Backbone):
    """SmolVLM and Idefics 3, its first version; an image is one tile.

    Idefics 3 begins with Llama 3's token, and it and the large SmolVLM write `<global-img>` as plain text.
    """

    family = "smolvlm"
    classes: ClassVar = {
        "smolvlm": SmolVLMForConditionalGeneration,
        "idefics3": Idefics3ForConditionalGeneration,
    }
    markers = Markers(
        end="<end_of_utterance>",
        before=("<|im_start|>",),
        image_start=("<fake_token_around_image>", "<global-img>"),
        image_end=("<fake_token_around_image>",),
        instead={"<|im_start|>": "<|begin_of_text|>"},
        spelled=("<global-img>",),
    )

    @property
    def decoder(self) -> Any:
        return self.model.model.text_model

    def encode(self, images: Tensor) -> EncodedImages:
        # get_image_features would drop images that are all zero.
        model = self.model.model
        patch = self.model.config.vision_config.patch_size
        there = images.new_ones(len(images), images.shape[2] // patch, images.shape[3] // patch).bool()
        vision = model.vision_model(pixel_values=images, patch_attention_mask=there)
        return EncodedImages(model.connector(vision.last_hidden_state))


class Flamingo(Backbone):
    """IDEFICS, transformers' Flamingo: tokens attend to images through gated cross-attention.

    In the sequence an image is one `<image>` token. A token attends to the images at or before it; in the
    original it attends to the last one only, which would hide the hand camera from the instruction.
    """

    family = "flamingo"
    classes: ClassVar = {"idefics": IdeficsForVisionText2Text}
    markers = Markers(
        end="</s>",
        before=("<s>",),
        image_start=("<fake_token_around_image>",),
        image_end=("<fake_token_around_image>",),
        image="<image>",
    )

    @property
    def decoder(self) -> Any:
        return self.model.model

    def encode(self, images: Tensor) -> EncodedImages:
        model = self.model.model
        memory = model.vision_model(pixel_values=images).last_hidden_state
        if model.config.use_resampler:
            memory = model.perceiver_resampler(memory)
        ids = torch.full((len(images), 1), self.image_id, device=images.device)
        return EncodedImages(self.embed(ids), memory=memory)

    def forward(self, sequence: Sequence, cache: Cache | None = None) -> Tensor:
        assert sequence.memory is not None and sequence.seen is not None
        # `encode` has resampled already. The argument for resampled images, perceiver_embeddings, changed its
        # shape in transformers 5.24; image_encoder_embeddings is the same in all versions.
        config = self.model.config
        resamples, config.use_resampler = config.use_resampler, False
        try:
            return self.decoder(
                inputs_embeds=sequence.embeds,
                attention_mask=sequence.mask.long(),
                position_ids=sequence.positions[0],
                **{CACHE: cache},
                use_cache=cache is not None,
                image_attention_mask=sequence.seen,
                image_encoder_embeddings=sequence.memory,
            ).last_hidden_state
        finally:
            config.use_resampler = resamples


class Florence2(Backbone):
    """Florence-2: an encoder reads the context, a decoder the answer after its start token.

    As the hidden state at the last token of the context stands the decoder's at its start token, so that here
    too the state before a token predicts it.
    """

    family = "florence-2"
    classes: ClassVar = {"florence2": Florence2ForConditionalGeneration}
    markers = Markers(end="</s>", after=("<s>",))
    interleaves = False  # the encoder would show each answer the frames after it

    @property
    def decoder(self) -> Any:
        return self.model.model.language_model.decoder

    def encode(self, images: Tensor) -> EncodedImages:
        return EncodedImages(self.model.get_image_features(images).pooler_output)

    def new_cache(self) -> Cache:
        return EncoderDecoderCache(
            DynamicCache(config=self.text_config), DynamicCache(config=self.text_config)
        )

    def _encode_context(self, sequence: Sequence) -> Sequence:
        context = sequence.mask & (sequence.roles != ANSWER) & (sequence.roles != END)
        encoder = self.model.model.language_model.encoder
        memory = encoder(inputs_embeds=sequence.embeds, attention_mask=context.long()).last_hidden_state
        return replace(sequence, memory=memory, seen=context[:, None])

    def _decode(self, embeds: Tensor, sequence: Sequence, cache: Cache | None) -> Tensor:
        assert sequence.memory is not None and sequence.seen is not None
        return self.decoder(
            inputs_embeds=embeds,
            encoder_hidden_states=sequence.memory,
            encoder_attention_mask=sequence.seen[:, 0].long(),
            **{CACHE: cache},
            use_cache=cache is not None,
        ).last_hidden_state

    def _start(self, rows: int) -> Tensor:
        start = torch.full((rows, 1), self.text_config.decoder_start_token_id)
        return self.embed(start.to(self.model.device))

    def _answer(self, sequence: Sequence, cache: Cache | None) -> Tensor:
        assert sequence.seen is not None
        answers = (sequence.roles == ANSWER) | (sequence.roles == END)
        # Each row has equally many answer tokens, and they are its last.
        first = sequence.seen[:, 0].sum(1, keepdim=True)
        positions = first + torch.arange(int(answers.sum(1).max()), device=first.device)
        embeds = torch.cat([self._start(len(first)), read(sequence.embeds, positions)], dim=1)
        hidden = self._decode(embeds, sequence, cache)
        target = torch.cat([first - 1, positions], dim=1)[..., None].expand_as(hidden)
        return torch.zeros_like(sequence.embeds).scatter(1, target, hidden.to(sequence.embeds.dtype))

    def forward(self, sequence: Sequence, cache: Cache | None = None) -> Tensor:
        if sequence.memory is not None:
            return self._decode(sequence.embeds, sequence, cache)
        return self._answer(self._encode_context(sequence), cache)

    def prefill(self, sequence: Sequence) -> tuple[Tensor, Sequence, Cache]:
        cache, sequence = self.new_cache(), self._encode_context(sequence)
        return self._answer(sequence, cache), sequence, cache


FAMILIES: dict[str, type[Backbone]] = {
    cls.family: cls for cls in (PaliGemma, Kosmos2, QwenVL, Llava, Flamingo, SmolVLM, Florence2)
}
