"""Each family's HF processor, built from its class, with a tiny tokenizer like the checkpoint's.

transformers is imported where it is used: with torch, it takes 3 s.
"""

import json

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from edge.bundle.manifest import ImageSpec
from edge.model.patches import vision_input
from edge.model.prompt_ids import PromptImage

IMAGE = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
TEXT = [
    "detect the red cup",
    "USER: where is it? ASSISTANT:",
    "빨간 컵 파란 상자",
    "Locate every cup in this image.",
]
HALF = (0.5, 0.5, 0.5)

# The checkpoints' chat templates, as far as one question with one image takes them. LLaVA's and SmolVLM's are
# in transformers' tests of their processors, Qwen's are from memory.
LLAVA_CHAT = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': '}}"
    "{% endif %}{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>\n' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ content['text'] + ' '}}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
SMOLVLM_CHAT = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
_QWEN_TURN = (
    "<|im_start|>{{ message['role'] }}\n{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN3_CHAT = "{% for message in messages %}" + _QWEN_TURN
QWEN25_CHAT = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}" + _QWEN_TURN
)


def _pieces(byte_level: bool, specials: list[str]) -> dict:
    """Vocabulary and merges, learnt from a few lines: letters that it lacks fall back to bytes."""
    tokenizer = Tokenizer(BPE())
    if byte_level:
        tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
        alphabet, lines = ByteLevel.alphabet(), TEXT
    else:
        specials = specials + [f"<0x{byte:02X}>" for byte in range(256)]
        alphabet, lines = ["▁", "\n"], [line.replace(" ", "▁") for line in TEXT[:2]]
    trainer = BpeTrainer(
        vocab_size=700, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(lines, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return {"vocab": model["vocab"], "merges": [tuple(merge) for merge in model["merges"]]}


def _special(**tokens: str) -> dict:
    return {"extra_special_tokens": tokens}


def paligemma():
    import transformers

    images = transformers.SiglipImageProcessorPil(size={"height": 224, "width": 224})
    images.image_seq_length = 256
    # As Gemma's own file: it puts a <bos> first, until the processor tells it not to.
    words = transformers.GemmaTokenizer(
        **_pieces(False, ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]), add_bos_token=True
    )
    return transformers.PaliGemmaProcessor(images, words), PromptImage(256)


def kosmos():
    import transformers

    names = ["<s>", "<pad>", "</s>", "<unk>", *(f"image_{i}" for i in range(64)), "▁"]
    names += [*"abcdefghijklmnopqrstuvwxyz", "▁a", "▁cup", "▁red", "컵", "빨", "간", "▁빨간", "<mask>"]
    words = transformers.XLMRobertaTokenizer(vocab=[(name, -float(i)) for i, name in enumerate(names)])
    return transformers.Kosmos2Processor(
        transformers.CLIPImageProcessorPil(use_square_size=True), words
    ), PromptImage(64)


def florence():
    import transformers

    images = transformers.CLIPImageProcessorPil(size={"height": 768, "width": 768}, do_center_crop=False)
    images.image_seq_length = 577
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    words = transformers.GPT2Tokenizer(
        **_pieces(True, [*tokens.values()]), **tokens, **_special(image_token="<image>")
    )
    return transformers.Florence2Processor(images, words), PromptImage(577)


def llava():
    import transformers

    images = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}
    )
    words = transformers.LlamaTokenizer(
        **_pieces(False, ["<unk>", "<s>", "</s>"]), add_bos_token=True, **_special(image_token="<image>")
    )
    settings = {
        "patch_size": 14,
        "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
    }
    return transformers.LlavaProcessor(images, words, chat_template=LLAVA_CHAT, **settings), PromptImage(576)


def idefics():
    import transformers
    from transformers.models.idefics.image_processing_pil_idefics import IdeficsImageProcessorPil

    markers = _special(fake="<fake_token_around_image>", image_token="<image>")
    words = transformers.LlamaTokenizer(
        **_pieces(False, ["<unk>", "<s>", "</s>"]), add_bos_token=True, **markers
    )
    words.pad_token = "<unk>"
    return transformers.IdeficsProcessor(IdeficsImageProcessorPil(image_size=224), words), PromptImage(1)


def qwen(patch: int):
    import transformers
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    markers = _special(
        a="<|im_start|>", b="<|vision_start|>", c="<|vision_end|>", d="<|image_pad|>", e="<|video_pad|>"
    )
    words = transformers.Qwen2Tokenizer(**_pieces(True, ["<|endoftext|>", "<|im_end|>"]), **markers)
    images = Qwen2VLImageProcessorPil(patch_size=patch, min_pixels=3136, max_pixels=12845056)
    spec = ImageSpec(
        height=2 * patch,
        width=2 * patch,
        resize="bicubic",
        mean=HALF,
        std=HALF,
        fit="multiple",
        pixels=(3136, 12845056),
    )
    taken = vision_input(IMAGE, spec)
    chat = QWEN25_CHAT if patch == 14 else QWEN3_CHAT
    processor_class = transformers.Qwen2_5_VLProcessor if patch == 14 else transformers.Qwen3VLProcessor
    processor = object.__new__(processor_class)  # without a video processor, which needs torchvision
    processor.image_processor, processor.tokenizer, processor.chat_template = images, words, chat
    processor.image_token, processor.video_token = "<|image_pad|>", "<|video_pad|>"
    processor.image_token_id = words.convert_tokens_to_ids("<|image_pad|>")
    processor.video_token_id = words.convert_tokens_to_ids("<|video_pad|>")
    return processor, PromptImage(taken.rows * taken.columns)


def smolvlm(split: bool):
    import transformers
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
    from transformers.models.idefics3.processing_idefics3 import Idefics3Processor

    names = ["<global-img>", *(f"<row_{i}_col_{j}>" for i in range(1, 7) for j in range(1, 7))]
    markers = ["<|im_start|>", "<fake_token_around_image>", "<image>", "<end_of_utterance>", *names]
    words = transformers.GPT2Tokenizer(
        **_pieces(True, ["<|endoftext|>"]), **_special(**{f"t{i}": name for i, name in enumerate(markers)})
    )
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": 512}, max_image_size={"longest_edge": 128}, do_image_splitting=split
    )
    spec = ImageSpec(
        height=128,
        width=128,
        resize="lanczos",
        mean=HALF,
        std=HALF,
        fit="tiles" if split else "single",
        longest_edge=512,
    )
    taken = vision_input(IMAGE, spec)
    processor = Idefics3Processor(images, words, image_seq_len=64, chat_template=SMOLVLM_CHAT)
    return processor, PromptImage(64, taken.rows, taken.columns)
