"""A graph in another precision, before the gate has judged it."""

from dataclasses import dataclass, field

from export.graphs.graph import Graph
from export.measure.ranges import Ranges
from export.measure.sensitivity import Sensitivity
from export.precision.choose import Choice
from export.precision.options import Precision
from export.precision.quantizers.smoothing import ChannelScaling


@dataclass(frozen=True)
class Candidate:
    """A stage's graph in another precision, and how it was found."""

    precision: Precision
    graph: Graph  # what the engine of the bundle runs
    twin: Graph | None = None  # what this machine runs in its place for the gate; None: the graph itself
    method: str = ""  # how ranges were computed; "": there are none
    ranges: Ranges = field(default_factory=dict)
    kept: list[Sensitivity] = field(default_factory=list)  # layers that stay fp32, or fp16 for TensorRT
    scalings: list[ChannelScaling] = field(default_factory=list)  # by SmoothQuant or AWQ
    choices: list[Choice] = field(default_factory=list)  # by auto

    @property
    def computed(self) -> Graph:
        """The graph that the gate looks at."""
        return self.graph if self.twin is None else self.twin
