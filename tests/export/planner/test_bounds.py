"""The bounds against what others measured: below every latency, and in the same order."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import UsageError
from export.planner.boards import BITS, BOARDS
from export.planner.bounds import Estimate, estimate
from export.planner.families import read_config
from export.planner.known import KNOWN, PALIGEMMA_3B
from export.planner.layers import Request, StageWork, Work, Workload

# config.json of google/paligemma2-3b-mix-448, at 224 px: another language model behind the same vision tower.
PALIGEMMA2_3B = {
    **PALIGEMMA_3B,
    "text_config": {
        "model_type": "gemma2",
        "vocab_size": 257216,
        "hidden_size": 2304,
        "intermediate_size": 9216,
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
    },
}


@dataclass(frozen=True)
class Published:
    """A latency of one inference that its authors published."""

    model: str
    board: str
    precision: str
    stack: str
    latency_ms: float
    tokens: int | None = None  # where the question was another than the model's usual one


# The Orin NX of 8 GB has the bandwidth of the one of 16 and a slower clock, so the bound of the latter holds.
PUBLISHED = [
    Published("pi0.5", "agx-orin-64", "bf16", "FlashRT", 193),
    Published("pi0.5", "agx-orin-64", "int8", "FlashRT, W8A8", 124),
    Published("pi0.5", "agx-orin-64", "bf16", "TensorRT", 305.5),
    Published("pi0.5", "agx-orin-64", "int8", "pi.cpp, QDQ", 126),
    Published("pi0.5", "orin-nx-16", "int8", "pi.cpp on 8 GB, engines resident", 342),
    Published("pi0.5", "thor", "bf16", "TensorRT", 163),
    Published("pi0.5", "thor", "fp8", "TensorRT", 95),
    Published("pi0.5", "thor", "nvfp4", "TensorRT", 94),
    Published("gr00t-n1.6", "agx-orin-64", "bf16", "TensorRT", 173),
    Published("gr00t-n1.6", "agx-orin-64", "bf16", "pi.cpp", 117),
    Published("smolvla", "agx-orin-64", "bf16", "pi.cpp", 137.6),
    Published("openvla", "agx-orin-64", "int4", "MLC", 1e3 / 2.5),
    Published("kosmos-2", "orin-nx-16", "fp16", "torch, a head at the action token", 60, tokens=0),
    Published("paligemma2-3b", "orin-nx-16", "bf16", "torch, grounding", 1230),
]


def workload_of(published: Published) -> Workload:
    if published.model == "paligemma2-3b":
        return read_config(PALIGEMMA2_3B, KNOWN["paligemma-3b"].request)
    known = KNOWN[published.model]
    request = known.request if published.tokens is None else replace(known.request, tokens=published.tokens)
    return known.build(request)


def planned(model: str, board: str, precision: str) -> Estimate:
    known = KNOWN[model]
    return estimate(model, known.build(known.request), BOARDS[board], precision)


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda p: f"{p.model} {p.board} {p.precision} {p.stack}")
def test_no_bound_is_above_a_published_latency(published: Published):
    workload = workload_of(published)
    bound_ms = estimate(published.model, workload, BOARDS[published.board], published.precision).bound_ms
    # Nor so far below that it would say nothing.
    assert published.latency_ms / 15 < bound_ms < published.latency_ms


def test_stacks_rank_as_they_were_measured():
    assert planned("pi0.5", "agx-orin-64", "int8").bound_ms < planned("pi0.5", "agx-orin-64", "bf16").bound_ms
    assert planned("pi0.5", "thor", "fp8").bound_ms < planned("pi0.5", "thor", "bf16").bound_ms
    assert planned("pi0.5", "thor", "bf16").bound_ms < planned("pi0.5", "agx-orin-64", "bf16").bound_ms
    slowest = planned("openvla", "agx-orin-64", "int4").bound_ms
    assert slowest > planned("pi0.5", "agx-orin-64", "bf16").bound_ms
    assert slowest > planned("gr00t-n1.6", "agx-orin-64", "bf16").bound_ms


def test_smolvla_was_published_as_ten_times_its_bandwidth_bound():
    smolvla = planned("smolvla", "agx-orin-64", "bf16")
    assert 137.6 / sum(stage.bandwidth_ms for stage in smolvla.stages) == pytest.approx(10, rel=0.2)


def test_int4_weights_do_not_speed_prefill_up():
    prefill = {
        precision: planned("pi0.5", "agx-orin-64", precision).stages[1]
        for precision in ("bf16", "int8", "int4")
    }
    assert prefill["int4"].bound_ms == prefill["bf16"].bound_ms == prefill["bf16"].compute_ms
    assert prefill["int8"].bound_ms == pytest.approx(prefill["bf16"].bound_ms / 2)


@pytest.mark.parametrize("name", KNOWN)
def test_known_models_have_as_many_parameters_as_published(name: str):
    known = KNOWN[name]
    assert known.build(known.request).parameters == pytest.approx(known.published, rel=0.03)


LLAVA_7B = {  # llava-hf/llava-1.5-7b-hf
    "model_type": "llava",
    "vision_config": {
        "model_type": "clip_vision_model",
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 336,
        "patch_size": 14,
    },
    "text_config": {"model_type": "llama", "vocab_size": 32064},
}
QWEN_3B = {  # Qwen/Qwen2.5-VL-3B-Instruct: the text's fields at the top
    "model_type": "qwen2_5_vl",
    "hidden_size": 2048,
    "intermediate_size": 11008,
    "num_hidden_layers": 36,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "vocab_size": 151936,
    "tie_word_embeddings": True,
    "vision_config": {"hidden_size": 1280, "out_hidden_size": 2048},
}
FLORENCE_LARGE = {"model_type": "florence2", "vision_config": {"embed_dim": [256, 512, 1024, 2048]}}


@pytest.mark.parametrize(
    ("config", "published"),
    [(PALIGEMMA2_3B, 3.03e9), (LLAVA_7B, 7.06e9), (QWEN_3B, 3.75e9), (FLORENCE_LARGE, 0.77e9)],
    ids=["PaliGemma 2 3B", "LLaVA 1.5 7B", "Qwen2.5-VL 3B", "Florence-2 large"],
)
def test_published_configs_have_as_many_parameters_as_published(config, published):
    assert read_config(config, Request()).parameters == pytest.approx(published, rel=0.03)


def test_the_documented_bounds_are_these():
    document = (Path(__file__).parents[3] / "docs/plan.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in document.splitlines() if line.startswith("| `")}
    for name in KNOWN:
        cells = []
        for board in BOARDS:
            others = ("fp8", "nvfp4") if board == "thor" else ("int8", "int4")
            plans = [planned(name, board, precision) for precision in ("bf16", *others)]
            cells.append(" / ".join(documented(each) for each in plans))
        assert rows[name].endswith(f"| {' | '.join(cells)} |")
    for published in PUBLISHED:
        bound_ms = estimate("", workload_of(published), BOARDS[published.board], published.precision).bound_ms
        ratio = published.latency_ms / bound_ms
        assert f"| {published.latency_ms:g} | {bound_ms:.0f} | {ratio:.1f} |" in document


def documented(one: Estimate) -> str:
    if not one.memory.fits:
        return "–"
    return f"{one.bound_ms:.0f}" if one.bound_ms >= 10 else f"{one.bound_ms:.1f}"


def test_memory_decides_what_fits():
    # π0.5 runs on 8 GB in int8 and not in bf16; OpenVLA on 16 GB not in fp16.
    assert planned("pi0.5", "orin-nano", "int8").memory.fits
    assert not planned("pi0.5", "orin-nano", "bf16").memory.fits
    assert not planned("openvla", "orin-nx-16", "fp16").memory.fits
    assert planned("openvla", "agx-orin-64", "fp16").memory.fits


def test_auto_is_what_fits_and_is_quickest():
    assert planned("openvla", "orin-nano", "auto").precision == "int4"
    assert planned("paligemma-3b", "thor", "auto").memory.fits
    best = planned("pi0.5", "agx-orin-64", "auto")
    bounds = [planned("pi0.5", "agx-orin-64", each).bound_ms for each in BOARDS["agx-orin-64"].flops_s]
    assert best.bound_ms == min(bounds)


def test_what_was_exported_in_several_precisions_is_planned_so():
    stages = (
        StageWork("vision", Work(10**8, 1e11), precision="fp16"),
        StageWork("prefill", Work(10**9, 1e12), precision="int8"),
    )
    workload = Workload("any", stages, tables=0)
    mixed = estimate("any", workload, BOARDS["agx-orin-64"], "auto")
    assert mixed.precision == "fp16+int8"
    assert [stage.bytes for stage in mixed.stages] == [2e8, 1e9]
    assert mixed.memory.weights_bytes == 1.2e9
    again = estimate("any", workload, BOARDS["agx-orin-64"], "fp16")
    assert again.precision == "fp16" and again.stages[1].bytes == 2e9
    lacking = replace(BOARDS["thor"], flops_s={"fp16": 1e12})
    with pytest.raises(UsageError, match="has no int8"):
        estimate("any", workload, lacking, "auto")


@pytest.mark.parametrize("precision", ["fp8", "nvfp4"])
@pytest.mark.parametrize("board", ["orin-nano", "orin-nx-16", "agx-orin-64"])
def test_orin_refuses_what_it_has_no_arithmetic_for(board: str, precision: str):
    with pytest.raises(UsageError, match=f"has no {precision}") as refusal:
        planned("pi0.5", board, precision)
    assert "int8" in refusal.value.hint and refusal.value.exit_code == 2


@given(
    st.integers(1, 10**10),
    st.floats(0, 1e15),
    st.integers(1, 50),
    st.sampled_from(list(BOARDS.values())),
    st.sampled_from(list(BITS)),
)
def test_a_bound_is_the_longer_of_both_and_grows_with_the_passes(parameters, flops, passes, board, precision):
    if precision not in board.flops_s:
        return
    workload = Workload("any", (StageWork("one", Work(parameters, flops), passes),), tables=0)
    one = estimate("any", workload, board, precision)
    stage = one.stages[0]
    assert one.bound_ms == stage.bound_ms == max(stage.bandwidth_ms, stage.compute_ms)
    assert stage.bytes == pytest.approx(parameters * BITS[precision] / 8 * passes)
    once = estimate(
        "any", replace(workload, stages=(replace(workload.stages[0], passes=1),)), board, precision
    )
    assert one.bound_ms == pytest.approx(once.bound_ms * passes)
