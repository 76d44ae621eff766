"""The boxes of a bundle's answers, as a policy gets them."""

import numpy as np

from edge.model.boxes import BoxReader

IMAGE = np.zeros((480, 640, 3), np.uint8)
ANSWER = (
    "<object><patch_index_0483><patch_index_0549></object> near<phrase> a cupboard</phrase>"
    "<object><patch_index_0468><patch_index_0862></object>"
)


def test_a_policy_with_a_target_gets_its_boxes_alone() -> None:
    (mug,) = BoxReader("kosmos-2").read(ANSWER, 0.9, "mug", IMAGE).detections
    assert (mug.label, mug.confidence, round(mug.box.area, 4)) == ("mug", 0.9, 0.0039)


def test_a_policy_without_a_target_gets_all_boxes() -> None:
    found = BoxReader("kosmos-2").read(ANSWER, 0.9, "", IMAGE).detections
    assert [detection.label for detection in found] == ["", "cupboard"]
