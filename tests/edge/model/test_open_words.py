"""Open words: text and ids, what a cut leaves of an answer, and boxes in the whole image."""

import json
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bundle.manifest import AnswerSpec, ImageSpec
from edge.errors import BundleRefused
from edge.model.boxes import BoxReader
from edge.model.decoding import GreedyDecoder
from edge.model.images import image_to_tensor
from edge.model.tokenizer import FamilyTokenizer
from edge.parsing import parse_detections
from edge.records import Box
from tests.edge.model.open_bundles import FAMILIES, tokenizer_of

SPEC = AnswerSpec(max_tokens=8, end_ids=(1,))
TOKENIZERS = {
    name: tokenizer_of(FAMILIES[name]) for name in ("qwen2.5-vl", "florence-2", "llava", "paligemma")
}
TEXTS = {
    name: FamilyTokenizer(tokenizer.to_str().encode(), name, SPEC, 4)
    for name, tokenizer in TOKENIZERS.items()
}
HALF = (0.5, 0.5, 0.5)


@pytest.mark.parametrize("name", TOKENIZERS)
@given(text=st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), max_size=40))
def test_what_is_said_is_the_text_of_its_tokens(name: str, text: str) -> None:
    text = " ".join(unicodedata.normalize("NFC", text).replace("\u2581", "_").split())
    ids = TOKENIZERS[name].encode(text, add_special_tokens=False).ids
    assert " ".join(TEXTS[name].decode(ids).split()) == text


# Up to 999: Florence-2 has no <loc_1000>, and an answer with one is refused as a whole.
@given(st.lists(st.tuples(*[st.integers(0, 998)] * 4), min_size=1, max_size=4), st.integers(0, 400))
def test_a_cut_leaves_only_boxes_that_the_whole_answer_has(corners: list[tuple], at: int) -> None:
    boxes = [(min(a, c), min(b, d), max(a, c) + 1, max(b, d) + 1) for a, b, c, d in corners]
    for family, text in _answers(boxes).items():
        whole, part = (
            {d.box for d in parse_detections(said, family, image_size=(1000, 1000)).detections}
            for said in (text, text[:at])
        )
        assert part <= whole, (family, text[:at])


def _answers(boxes: list[tuple[int, int, int, int]]) -> dict[str, str]:
    """Return boxes (x0, y0, x1, y1), from 0 to 999, as each family writes them."""
    entries = [{"bbox_2d": box, "label": "cup"} for box in boxes]
    patches = [(32 * (y0 * 31 // 1000) + x0 * 31 // 1000, 1023 - (x1 - y1) % 7) for x0, y0, x1, y1 in boxes]
    pairs = [f"<patch_index_{a:04d}><patch_index_{b:04d}>" for a, b in patches]
    return {
        "paligemma": " ; ".join("".join(f"<loc{v:04d}>" for v in box) + " red cup" for box in boxes),
        "florence-2": "".join("red cup" + "".join(f"<loc_{v}>" for v in box) for box in boxes),
        "kosmos-2": f"<object>{'</delimiter_of_multi_objects/>'.join(pairs)}</object>",
        "qwen2.5-vl": json.dumps(entries),
        "llava": "; ".join(str([v / 1000 for v in box]) for box in boxes),
    }


@pytest.mark.parametrize(("height", "width"), [(60, 80), (80, 60), (64, 64), (37, 111)])
@given(seed=st.integers(0, 1000))
@settings(max_examples=10)
def test_boxes_in_the_middle_of_an_image_are_boxes_in_the_whole_one(
    height: int, width: int, seed: int
) -> None:
    """Read the box that is white in the model's input: it is where the image is white."""
    rng = np.random.default_rng(seed)
    edge, image = min(height, width), np.zeros((height, width, 3), np.uint8)
    top, left = (height - edge) // 2, (width - edge) // 2
    y, x = (int(rng.integers(start, start + edge - 12)) for start in (top, left))
    image[y : y + 12, x : x + 12] = 255
    spec = ImageSpec(height=96, width=96, resize="bicubic", mean=HALF, std=HALF, fit="crop")
    white = np.argwhere(image_to_tensor(image, spec)[0, 0] > 0)
    (y0, x0), (y1, x1) = white.min(0) / 96, (white.max(0) + 1) / 96
    said = f"[{x0:.4f}, {y0:.4f}, {x1:.4f}, {y1:.4f}]"
    (found,) = BoxReader("llava", spec).read(said, 0.9, "cup", image).detections
    true = Box(y / height, x / width, (y + 12) / height, (x + 12) / width)
    assert found.box.iou(true) > 0.8
    assert found.label == "cup"


def test_pixels_are_those_of_the_image_that_the_model_sees() -> None:
    spec = ImageSpec(height=28, width=56, resize="bicubic", mean=HALF, std=HALF)
    image = np.zeros((480, 640, 3), np.uint8)
    (found,) = (
        BoxReader("qwen2.5-vl", spec).read('[{"bbox_2d": [14, 7, 28, 14]}]', 0.9, "cup", image).detections
    )
    assert found.box == Box(0.25, 0.25, 0.5, 0.5)
    for family in ("qwen-vl", "qwen3-vl"):
        said = '[{"bbox_2d": [250, 250, 500, 500]}]'
        (found,) = BoxReader(family, spec).read(said, 0.9, "cup", image).detections
        assert found.box == Box(0.25, 0.25, 0.5, 0.5)


class Script:
    """A generation that gives the same logits again and again, and keeps the tokens that it is given."""

    def __init__(self, logits: np.ndarray, free_slots: int) -> None:
        self.prompt, self.logits, self.free_slots, self.said = "", logits, free_slots, []

    def decode(self, token: int) -> np.ndarray:
        self.free_slots -= 1
        self.said.append(token)
        return self.logits


@given(st.lists(st.floats(-20, 20, width=32), min_size=4, max_size=9), st.integers(0, 20))
def test_confidence_is_the_mean_probability_and_no_step_is_wasted(logits: list[float], room: int) -> None:
    values = np.array(logits, np.float32)
    script = Script(values, room)
    said = GreedyDecoder(TEXTS["llava"]).decode_box(values, script, "cup")
    best = int(values.argmax())
    assert said.confidence == pytest.approx(1 / np.exp(values - values[best]).sum(), rel=1e-4)
    assert said.cut == (best not in SPEC.end_ids)
    assert len(script.said) == (0 if not said.cut else min(SPEC.max_tokens - 1, room))


def test_a_tokenizer_that_can_not_show_images_is_refused() -> None:
    for tokenizer, says in ((b"{}", "cannot be read"), (TOKENIZERS["llava"].to_str().encode(), "image_pad")):
        with pytest.raises(BundleRefused, match=says):
            FamilyTokenizer(tokenizer, "qwen2.5-vl", SPEC, 4)
