"""The fully connected head: each step by itself."""

from torch import Tensor, nn

from vla.heads.base import Head, HeadConfig, HeadMemory, OutputMLP


class FCHead(Head):
    """Two linear layers over a step's action tokens; it remembers nothing."""

    def __init__(self, width: int, tokens: int, window: int, config: HeadConfig) -> None:
        super().__init__(width, tokens, window, config)
        outputs = config.hidden * self.tokens
        self.net = nn.Sequential(
            nn.Linear(self.inputs, self.inputs // 2), nn.ReLU(), nn.Linear(self.inputs // 2, outputs)
        )
        self.output = OutputMLP(outputs, config)

    def run(self, inputs: Tensor) -> Tensor:
        return self.output(self.net(inputs))

    def step(self, features: Tensor, memory: HeadMemory) -> Tensor:
        return self.run(self.gather(features[:, None]))[:, -1]
