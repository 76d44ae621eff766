"""The inputs of each stage of a bundle while it answers: ranges and comparisons are made of them."""

from collections.abc import Iterable, Mapping

import numpy as np

from calibration.sample_set import Sample
from edge.bundle.bundle import Bundle
from edge.bundle.manifest import StateInput
from edge.interfaces import Engine, Tensor
from edge.model.generation import DecoderEngines, Generation, PrefillEngines, StopWatch
from edge.model.tokenizer import LOC_COUNT, GroundingTokenizer

Feed = dict[str, Tensor]  # inputs of one call, by name
STAGES = ("vision", "prefill", "decode")  # their precision changes; heads and the floor net stay fp32
STEPS = 3  # calls of decode for each sample


class _RecordingEngine:
    """An engine that keeps its inputs."""

    def __init__(self, engine: Engine, kept: list[Feed]) -> None:
        self.inputs, self.outputs = engine.inputs, engine.outputs
        self._engine, self._kept = engine, kept

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        self._kept.append({name: np.array(value) for name, value in inputs.items()})  # engines reuse memory
        return self._engine.run(inputs)

    def close(self) -> None:
        self._engine.close()


def collect_feeds(bundle: Bundle, samples: Iterable[Sample]) -> dict[str, list[Feed]]:
    """Return the inputs of a bundle's stages: for each sample one of vision and prefill, STEPS of decode.

    Decode is fed the bundle's own next tokens, also after `none`, so that every sample tells something about
    it. Raises UsageError if a prompt has unknown words or too many.
    """
    decodes = "decode" in bundle.manifest.graphs
    feeds: dict[str, list[Feed]] = {stage: [] for stage in STAGES[: 2 + decodes]}
    net = DecoderEngines(bundle, 1) if decodes else PrefillEngines(bundle, 1)
    for stage, kept in feeds.items():
        setattr(net, stage, _RecordingEngine(getattr(net, stage), kept))
    head = bundle.manifest.head
    rng = np.random.default_rng(0)
    try:
        for sample in samples:
            state = _state(head.state if head else None, rng)
            if isinstance(net, DecoderEngines):
                _answer(net, bundle, sample, state)
            else:
                question = net.prompt_inputs(sample.question.prompt)
                given = question if state is None else {**question, "state": state}
                net.run(sample.image, given, StopWatch("preprocess", "vision", "prefill"))
    finally:
        net.close()
    return feeds


def _answer(net: DecoderEngines, bundle: Bundle, sample: Sample, state: Tensor | None) -> None:
    answer = Generation(net)
    logits = answer.prefill(sample.image, sample.question.prompt, state)
    allowed = _allowed_ids(net, bundle, sample)
    for _ in range(STEPS):
        logits = answer.decode(int(allowed[logits[allowed].argmax()]))


def _allowed_ids(net: DecoderEngines, bundle: Bundle, sample: Sample) -> np.ndarray:
    """Return the token ids that may come next: of actions, of locations, or of words."""
    head = bundle.manifest.head
    if head is not None and head.tokens is not None:
        return np.arange(head.tokens.first_id, head.tokens.first_id + head.tokens.bins)
    if not isinstance(net.tokenizer, GroundingTokenizer):
        return np.arange(net.length_of("logits", 1))
    if not sample.question.target:
        return np.append(net.tokenizer.word_ids, net.tokenizer.eos)
    return np.arange(net.tokenizer.first_loc, net.tokenizer.first_loc + LOC_COUNT)


def _state(wanted: StateInput | None, rng: np.random.Generator) -> Tensor | None:
    """Return a random state (1, S), spread as scaled states are."""
    return None if wanted is None else rng.standard_normal((1, len(wanted.columns))).astype(np.float32)
