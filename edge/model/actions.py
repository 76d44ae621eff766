"""A bundle's graphs driven as one model that predicts actions: image, prompt and state in, a chunk out.

Graphs (static shapes; N image tokens, P prompt tokens at most, F features, W window, T rows, A columns):

    vision   pixel_values (1,3,H,W)                                          -> image_features (1,N,D)
    prefill  image_features, ids (1,P) padded, length (1,)[, state (1,S)]    -> features (1,F)
    head     features (1,F)                                                  -> actions (1,T,A)   fc
             features (1,F), h, c (layers,1,hidden)                          -> actions, h_next, c_next   lstm
    window   features (1,W,F), oldest first                                  -> actions (1,T,A)   lstm
             features (1,W,F), oldest first, padded at the end, count (1,)   -> actions (1,T,A)   gpt

A discrete head has vision, prefill and decode as in `edge/model/generation.py`. Actions are in [-1, 1].
"""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.actions import ActionTokenizer, MeanStd, MinMax, MuLaw, Pipeline
from edge.bundle.bundle import Bundle
from edge.bundle.manifest import ActionHead, MeanStdScaling, StateInput
from edge.engines.open import open_engine
from edge.errors import BundleRefused, UsageError
from edge.interfaces import Closing, Engine, Tensor
from edge.model.decoding import softmax
from edge.model.generation import DecoderEngines, Generation, PrefillEngines, StopWatch
from edge.records import ZERO, Image, Odometry

Floats = NDArray[np.float64]
STATE_COLUMNS = ("x_m", "y_m", "yaw_rad", "linear_x_m_s", "linear_y_m_s", "angular_z_rad_s")  # odometry
NEAR = 0.05  # share of an action's range: 0.05 m/s or 0.1 rad/s, slower than the base moves at all
_ORIGIN = Odometry(0, 0.0, 0.0, 0.0, ZERO)


@dataclass(frozen=True, slots=True)
class ActionPrediction:
    """The model's chunk for one frame. `stages_ms` has preprocess, vision, prefill, and head or decode."""

    actions: Floats  # (T, A) in [-1, 1], as `vla.rollout.Rollout.step` gives them
    confidence: float  # [0, 1]: 1 for continuous heads; for discrete ones see `_TokenHead`
    stages_ms: dict[str, float]


class ActionModel(Closing):
    """Predicts one chunk a step and keeps its head's memory of the episode. One caller at a time."""

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        """Build the engines, each with `threads` threads.

        Raises BundleRefused if the bundle's policy has no head, or a graph is not what its manifest says.
        """
        head = bundle.manifest.head
        if head is None:
            raise BundleRefused(f"bundle '{bundle.manifest.name}' holds a {bundle.manifest.policy} policy")
        self.head = head
        self.pipeline = pipeline(head)
        self._runner = (_TokenHead if head.tokens is not None else _FeatureHead)(bundle, head, threads)

    def step(self, image: Image, prompt: str, odometry: Odometry | None = None) -> ActionPrediction:
        """Return the prediction for the next step of an episode.

        Raises UsageError at a prompt with unknown words or too many, and if the model takes a state and
        `odometry` is None.
        """
        return self._runner.step(image, prompt, self._state(odometry))

    def reset(self) -> None:
        """Begin an episode."""
        self._runner.reset()

    def warm_up(self) -> None:
        """Run one step about a black image and resets, so that the first real step is not the slow one."""
        spec = self._runner.engines.image
        self.step(np.zeros((spec.height, spec.width, 3), np.uint8), "none", _ORIGIN)
        self.reset()

    def close(self) -> None:
        """Frees the engines."""
        self._runner.close()

    def _state(self, odometry: Odometry | None) -> Tensor | None:
        wanted = self.head.state
        if wanted is None:
            return None
        if odometry is None:
            raise UsageError(
                "the model takes the odometry as its state, and this robot has no odometry",
                "use a bundle without a state",
            )
        return state_of(odometry, wanted)


def state_of(odometry: Odometry, wanted: StateInput) -> NDArray[np.float32]:
    """Return the state (1, S) that a model takes: scaled columns of the odometry.

    Raises UsageError if the numbers can't scale.
    """
    v = odometry.velocity
    pose = (odometry.x_m, odometry.y_m, odometry.yaw_rad)
    values = (*pose, v.linear_x_m_s, v.linear_y_m_s, v.angular_z_rad_s)
    chosen = [[values[STATE_COLUMNS.index(name)] for name in wanted.columns]]
    return MeanStd(wanted.mean, wanted.std).encode(chosen).astype(np.float32)


def pipeline(head: ActionHead) -> Pipeline:
    """Return the pipeline that decodes predicted actions to physical ones.

    Raises BundleRefused if the bundle's numbers can't scale.
    """
    width, scaling = len(head.columns), head.scaling
    try:
        if isinstance(scaling, MeanStdScaling):
            first = MeanStd(scaling.mean, scaling.std)
            columns = len(scaling.mean)
        else:
            first = MinMax(scaling.low, scaling.high)
            columns = len(scaling.low)
        if columns != width:
            raise UsageError(f"scaling of {columns} columns for {width}")
        if head.state is not None:
            _check_state(head.state)
        return Pipeline((first,) if head.mu_law is None else (first, MuLaw(width, head.mu_law)))
    except UsageError as error:
        raise BundleRefused(f"the bundle's action numbers: {error.message}", error.hint) from error


def _check_state(state: StateInput) -> None:
    unknown = [name for name in state.columns if name not in STATE_COLUMNS]
    if unknown:
        raise UsageError(f"the odometry has no {unknown[0]}", f"it has {', '.join(STATE_COLUMNS)}")
    if len(state.columns) != len(state.mean):
        raise UsageError(f"{len(state.mean)} means of {len(state.columns)} state columns")
    MeanStd(state.mean, state.std)


class _TokenHead:
    """A discrete head: the language model decodes the ids of actions one by one, and no other ids.

    The confidence is the probability, among actions, of those within NEAR of the chosen one, averaged over
    all tokens. A single bin is never probable, because its neighbours mean the same motion.
    """

    def __init__(self, bundle: Bundle, head: ActionHead, threads: int) -> None:
        assert head.tokens is not None
        self.engines = DecoderEngines(bundle, threads)
        first, bins = head.tokens.first_id, head.tokens.bins
        self._near = round(NEAR * bins)
        self._tokens = ActionTokenizer(first + bins, bins)
        self._shape = (head.horizon, len(head.columns))
        if self.engines.length_of("logits", 1) < first + bins:
            raise BundleRefused(f"the graphs know no action ids up to {first + bins}")

    def step(self, image: Image, prompt: str, state: Tensor | None) -> ActionPrediction:
        generation = Generation(self.engines)
        logits = generation.prefill(image, prompt, state)
        if generation.free_slots < math.prod(self._shape) - 1:
            raise BundleRefused(
                f"the graphs have no room for {self._shape} actions", "export the bundle again"
            )
        ids = np.zeros(self._shape, np.int64)
        confidence, count = 0.0, ids.size
        for index in range(count):
            probability = softmax(logits[self._tokens.ids.start : self._tokens.ids.stop])
            chosen = int(probability.argmax())
            near = probability[max(0, chosen - self._near) : chosen + self._near + 1]
            confidence += float(near.sum()) / count
            token = self._tokens.ids.start + chosen
            ids[divmod(index, self._shape[1])] = token  # a row's columns first, then the next row
            if index < count - 1:
                logits = generation.decode(token)
        return ActionPrediction(self._tokens.decode(ids), min(1.0, confidence), generation.stages_ms)

    def reset(self) -> None:
        """Do nothing: a discrete head has no memory."""

    def close(self) -> None:
        self.engines.close()


class _FeatureHead:
    """A continuous head: its graphs turn the features of this step and of earlier ones into actions."""

    def __init__(self, bundle: Bundle, head: ActionHead, threads: int) -> None:
        self.engines = PrefillEngines(bundle, threads)
        stages = {"fc": ("head",), "lstm": ("head", "window"), "gpt": ("window",)}[head.kind]
        self._graphs = {stage: open_engine(bundle, stage, threads) for stage in stages}
        self._window = head.window
        self._check(head)
        self.reset()

    def reset(self) -> None:
        """Forgets the episode."""
        self._recent: deque[Tensor] = deque(maxlen=self._window)  # features (F,) of a step each
        self._carried = _zeros(self._graphs["head"]) if len(self._graphs) == 2 else {}

    def step(self, image: Image, prompt: str, state: Tensor | None) -> ActionPrediction:
        watch = StopWatch("preprocess", "vision", "prefill", "head")
        inputs = self.engines.prompt_inputs(prompt)
        if state is not None:
            inputs["state"] = state
        features = self.engines.run(image, inputs, watch)["features"]
        full = len(self._recent) == self._window
        self._recent.append(features[0].copy())  # the engine writes over its outputs
        actions = self._head(features, full)
        watch.lap("head")
        return ActionPrediction(actions.astype(np.float64), 1.0, watch.stages_ms)

    def _head(self, features: Tensor, full: bool) -> Tensor:
        """Return the actions (T, A) of this step; `full`: the window was full before it."""
        if "head" not in self._graphs or (full and "window" in self._graphs):
            return self._over_window()
        outputs = self._graphs["head"].run({"features": features, **self._carried})
        if self._carried:
            self._carried = {"h": outputs["h_next"], "c": outputs["c_next"]}
        return outputs["actions"][0]

    def _over_window(self) -> Tensor:
        engine = self._graphs["window"]
        padded = np.zeros((1, self._window, len(self._recent[0])), np.float32)
        padded[0, : len(self._recent)] = self._recent
        inputs: dict[str, Tensor] = {"features": padded, "count": np.array([len(self._recent)], np.int64)}
        return engine.run({spec.name: inputs[spec.name] for spec in engine.inputs})["actions"][0]

    def _check(self, head: ActionHead) -> None:
        width, shape = self.engines.length_of("features", 1), (1, head.horizon, len(head.columns))
        wanted = {"head": (1, width), "window": (1, head.window, width)}
        for stage, engine in self._graphs.items():
            inputs = {spec.name: spec.shape for spec in engine.inputs}
            outputs = {spec.name: spec.shape for spec in engine.outputs}
            if inputs.get("features") != wanted[stage] or outputs.get("actions") != shape:
                raise BundleRefused(
                    f"graph {stage} takes {inputs} and gives {outputs}, not {wanted[stage]} to {shape}"
                )

    def close(self) -> None:
        """Frees the engines."""
        self.engines.close()
        for engine in self._graphs.values():
            engine.close()


def _zeros(engine: Engine) -> dict[str, Tensor]:
    """Return the state of an LSTM before its first step: zeros."""
    return {spec.name: np.zeros(spec.shape, np.float32) for spec in engine.inputs if spec.name in ("h", "c")}
