"""The LSTM head."""

from torch import Tensor, nn

from vla.heads.base import Head, HeadConfig, HeadMemory, OutputMLP


class LSTMHead(Head):
    """Carries its state for `window` steps; from then on each step starts from zero, `window` steps back."""

    def __init__(self, width: int, tokens: int, window: int, config: HeadConfig) -> None:
        super().__init__(width, tokens, window, config)
        self.net = nn.LSTM(self.inputs, config.hidden, config.layers or 4, batch_first=True)
        self.output = OutputMLP(config.hidden, config)

    def run(self, inputs: Tensor) -> Tensor:
        return self.output(self.net(inputs)[0])

    def step(self, features: Tensor, memory: HeadMemory) -> Tensor:
        if len(memory.recent) == self.window:
            return super().step(features, memory)
        inputs = self.gather(features[:, None])
        memory.recent.append(inputs)
        hidden, memory.state = self.net(inputs, memory.state)
        return self.output(hidden[:, -1])
