"""Layers as the planner counts them: how many weights one pass reads and how much it computes.

It counts matrices alone. Norms and biases are left out: together they are under 0.5 % of a model.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """The weights, operations and cached numbers of one pass through some layers."""

    parameters: int = 0  # weights of matrices; each is read once a pass, however many rows go through
    flops: float = 0.0  # a multiplication and an addition are two
    cached: float = 0.0  # numbers of keys and values that are read back

    def __add__(self, other: Work) -> Work:
        return Work(self.parameters + other.parameters, self.flops + other.flops, self.cached + other.cached)

    def __mul__(self, count: int) -> Work:
        return Work(self.parameters * count, self.flops * count, self.cached * count)


def matrix(inputs: int, outputs: int, rows: float) -> Work:
    """Count the work of a linear layer over `rows` vectors."""
    return Work(inputs * outputs, 2.0 * inputs * outputs * rows)


def lookup(context: float, width: int, rows: float) -> Work:
    """Count attention's own products: scores over `context` keys of `width` in all heads, sums of values."""
    return Work(flops=4.0 * rows * context * width)


@dataclass(frozen=True)
class Layers:
    """Transformer layers that are all alike."""

    count: int
    width: int
    heads: int
    keys: int  # heads of keys and values
    head_width: int
    mlp: int  # width of the MLP's middle
    gated: bool  # the MLP has three matrices instead of two

    @property
    def cached_per_token(self) -> int:
        """Numbers of the keys and values that a token leaves in the cache."""
        return 2 * self.count * self.keys * self.head_width

    def run(self, rows: int, past: int = 0, causal: bool = False, window: int | None = None) -> Work:
        """Count the work of `rows` new tokens that see each other and `past` older ones.

        If causal, they see only those before them; with a window, only so many.
        """
        context = past + (rows / 2 if causal else rows)
        if window is not None:
            context = min(context, window)
        inner = self.heads * self.head_width
        layer = (
            matrix(self.width, inner, rows)
            + matrix(self.width, self.keys * self.head_width, rows) * 2
            + lookup(context, inner, rows)
            + matrix(inner, self.width, rows)
            + self._mlp(rows)
        )
        return layer * self.count + Work(cached=float(past) * self.cached_per_token)

    def cross(self, rows: int, memory_width: int, memory_rows: int, fresh: bool = True) -> Work:
        """Count the work of `rows` tokens that look at a memory instead of each other.

        The memory's keys and values are computed if `fresh`, and read back otherwise.
        """
        inner, stored = self.heads * self.head_width, self.keys * self.head_width
        layer = (
            matrix(self.width, inner, rows)
            + lookup(memory_rows, inner, rows)
            + matrix(inner, self.width, rows)
            + self._mlp(rows)
        )
        if fresh:
            layer += matrix(memory_width, stored, memory_rows) * 2
        else:
            layer += Work(cached=2.0 * stored * memory_rows)
        return layer * self.count

    def _mlp(self, rows: int) -> Work:
        return matrix(self.width, self.mlp, rows) * (3 if self.gated else 2)


@dataclass(frozen=True)
class Request:
    """The sizes of one inference: what goes in, and how much comes out."""

    views: int = 1  # images
    prompt: int = 16  # tokens of words and of the state
    tokens: int = 8  # tokens of the answer; 0: a head reads the hidden state instead
    steps: int = 1  # steps of denoising


@dataclass(frozen=True)
class StageWork:
    """The work of one stage of an inference; stages run one after another."""

    name: str
    work: Work  # work of one pass
    passes: int = 1
    shares: bool = False  # whether its weights are those of another stage
    precision: str | None = None  # the precision that it was exported in; None: still open
    bytes: float | None = None  # the size of its weights in a bundle; None: all are in the precision


@dataclass(frozen=True)
class Workload:
    """All the work of one inference of a model."""

    family: str
    stages: tuple[StageWork, ...]
    tables: int  # parameters that are looked up and never multiplied, such as embeddings
    unused: int = 0  # parameters of the checkpoint that nothing here runs
    cache: int = 0  # numbers of keys and values at the end
    repeated: int = 0  # parameters that a bundle's graphs hold once more
    floor: int = 0  # parameters of a net for the floor, beside the model

    @property
    def matrices(self) -> int:
        """Parameters that are multiplied."""
        return sum(stage.work.parameters for stage in self.stages if not stage.shares)

    @property
    def parameters(self) -> int:
        """Parameters of the model, each counted once, without norms, biases and the net for the floor."""
        return self.matrices + self.tables + self.unused - self.repeated


def language_stages(
    layers: Layers, head: Work, rows: int, request: Request, causal: bool, extra: Work = Work()
) -> tuple[StageWork, ...]:
    """List prefill over `rows` tokens, and a pass for each answer token after the first.

    `head` is the language model's head over one row, `extra` other work of prefill.
    """
    if request.tokens == 0:
        return (StageWork("prefill", layers.run(rows, causal=causal) + extra),)
    prefill = StageWork("prefill", layers.run(rows, causal=causal) + head + extra)
    if request.tokens == 1:
        return (prefill,)
    middle = rows + request.tokens // 2  # the mean length of the growing cache
    return prefill, StageWork("decode", layers.run(1, past=middle) + head, request.tokens - 1, shares=True)
