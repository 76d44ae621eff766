"""The name of the argument by which the installed version of transformers takes a KV cache."""

import inspect

from transformers.models.llama.modeling_llama import LlamaModel

# transformers 5.24 renamed it to `cache`; the old name warns there and is gone in 5.40.
CACHE = "cache" if "cache" in inspect.signature(LlamaModel.forward).parameters else "past_key_values"
