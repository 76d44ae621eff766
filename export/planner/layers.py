"""Layers as the planner sees them: how many weights one pass reads and how much it computes.

Matrices alone are counted. Norms and biases are left out: together they are under 0.5 % of a model.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """One pass through some layers."""

    parameters: int = 0  # weights of matrices; each is read once a pass, however many rows go through
    flops: float = 0.0  # a multiplication and an addition are two
    cached: float = 0.0  # keys and values that are read back, in numbers

    def __add__(self, other: Work) -> Work:
        return Work(self.parameters + other.parameters, self.flops + other.flops, self.cached + other.cached)

    def __mul__(self, count: int) -> Work:
        return Work(self.parameters * count, self.flops * count, self.cached * count)


def matrix(inputs: int, outputs: int, rows: float) -> Work:
    """A linear layer over `rows` vectors."""
    return Work(inputs * outputs, 2.0 * inputs * outputs * rows)


def lookup(context: float, width: int, rows: float) -> Work:
    """Attention's own products: scores over `context` keys of `width` in all heads, and the sum of values."""
    return Work(flops=4.0 * rows * context * width)


@dataclass(frozen=True)
class Layers:
    """Equal transformer layers."""

    count: int
    width: int
    heads: int
    keys: int  # heads of keys and values
    head_width: int
    mlp: int  # width in the middle
    gated: bool  # three matrices instead of two

    @property
    def cached_per_token(self) -> int:
        """Keys and values that a token leaves behind, in numbers."""
        return 2 * self.count * self.keys * self.head_width

    def run(self, rows: int, past: int = 0, causal: bool = False, window: int | None = None) -> Work:
        """`rows` new tokens that see each other and `past` older ones; causal: only those before them;
        with a window, no more than so many."""
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
        """As `run`, but each layer looks at a memory instead. `fresh`: its keys and values are computed;
        otherwise they were, and are read back."""
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
class Ask:
    """What is asked of a model for one action or answer."""

    views: int = 1  # images
    prompt: int = 16  # tokens of words and of the state
    tokens: int = 8  # of the answer; 0: a head reads the hidden state instead
    steps: int = 1  # of denoising


@dataclass(frozen=True)
class Stage:
    """One part of an inference; the parts run one after another."""

    name: str
    work: Work  # of one pass
    passes: int = 1
    shares: bool = False  # its weights are those of another stage
    precision: str | None = None  # in which it was exported; None: it is still open


@dataclass(frozen=True)
class Net:
    """A model that was asked something."""

    family: str
    stages: tuple[Stage, ...]
    tables: int  # parameters that are looked up and never multiplied, such as embeddings
    unused: int = 0  # parameters of the checkpoint that nothing here runs
    cache: int = 0  # keys and values at the end, in numbers

    @property
    def matrices(self) -> int:
        """Parameters that are multiplied, each counted once."""
        return sum(stage.work.parameters for stage in self.stages if not stage.shares)

    @property
    def parameters(self) -> int:
        """Of the whole checkpoint, without norms and biases."""
        return self.matrices + self.tables + self.unused


def language_stages(
    layers: Layers, head: Work, rows: int, ask: Ask, causal: bool, extra: Work = Work()
) -> tuple[Stage, ...]:
    """Prefill over `rows` tokens, and a pass for each answer token after the first. `head` is the language
    model's head over one row, `extra` what prefill does besides."""
    if ask.tokens == 0:
        return (Stage("prefill", layers.run(rows, causal=causal) + extra),)
    prefill = Stage("prefill", layers.run(rows, causal=causal) + head + extra)
    if ask.tokens == 1:
        return (prefill,)
    middle = rows + ask.tokens // 2  # the cache grows: this is its mean
    return prefill, Stage("decode", layers.run(1, past=middle) + head, ask.tokens - 1, shares=True)
