"""How transformers' modules are handed a cache, under the name that the installed version has for it."""

import inspect

from transformers import LlamaModel

# 5.24 calls it `cache`; its old name warns there and goes in 5.40.
CACHE = "cache" if "cache" in inspect.signature(LlamaModel.forward).parameters else "past_key_values"
