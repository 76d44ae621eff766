"""The GPT head."""

from torch import Tensor, nn
from transformers.models.gpt2.configuration_gpt2 import GPT2Config
from transformers.models.gpt2.modeling_gpt2 import GPT2Model

from vla.heads.base import Head, HeadConfig, OutputMLP


class GPTHead(Head):
    """A GPT-2 decoder with learned positions, run over at most `window` steps."""

    def __init__(self, width: int, tokens: int, window: int, config: HeadConfig) -> None:
        super().__init__(width, tokens, window, config)
        self.project = nn.Linear(self.inputs, config.hidden)
        sizes = GPT2Config(
            vocab_size=1,  # steps come as vectors
            n_positions=window,
            n_embd=config.hidden,
            n_layer=config.layers or 8,
            n_head=config.attention_heads,
            use_cache=False,
            bos_token_id=None,  # GPT-2's own ids would lie outside of that vocabulary
            eos_token_id=None,
        )
        self.net = GPT2Model(sizes)
        self.net.wte.requires_grad_(False)
        self.output = OutputMLP(config.hidden, config)

    def run(self, inputs: Tensor) -> Tensor:
        return self.output(self.net(inputs_embeds=self.project(inputs)).last_hidden_state)
