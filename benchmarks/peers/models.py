"""The default model in the hands of each peer: image and prompt in, the same constrained text out."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from calibration.sample_set import Sample
from edge.bundle.bundle import Bundle, load_bundle
from edge.errors import UsageError
from edge.interfaces import Engine, Tensor, TensorSpec
from edge.model.decoding import ConstrainedDecoder, DecodedText
from edge.model.generation import DecoderEngines, Generation
from edge.model.images import image_to_tensor
from edge.model.tokenizer import GroundingTokenizer
from edge.records import Image
from export.measure.feeds import STAGES, Feed, collect_feeds
from sim.bundles import default

CACHE_TOKENS = 192  # more than a prompt with its image and answer
CHECKPOINT = Path(__file__).resolve().parents[2] / "training/runs/default"
PACKAGES = ("torch", "transformers", "onnxruntime", "openvino", "nncf", "numpy")


class Peer(Protocol):
    """A model that answers."""

    def decide(self, image: Image, prompt: str, label: str) -> DecodedText:
        """Return the model's text about an image."""
        ...


class GraphPeer:
    """A bundle's graphs, each in an engine that `open_stage` opens; without it, in this runtime's own."""

    def __init__(self, bundle: Bundle, open_stage: Callable[[str, Engine], Engine] | None = None) -> None:
        self._engines = DecoderEngines(bundle, 1)
        assert isinstance(self._engines.tokenizer, GroundingTokenizer)
        self._decoder = ConstrainedDecoder(self._engines.tokenizer)
        if open_stage is not None:
            for stage in STAGES:
                setattr(self._engines, stage, open_stage(stage, getattr(self._engines, stage)))

    def decide(self, image: Image, prompt: str, label: str) -> DecodedText:
        """Return the text, decoded as a robot's is."""
        generation = Generation(self._engines)
        return self._decoder.decode_box(generation.prefill(image, prompt), generation, label)


class PlainOnnxRuntime:
    """ONNX Runtime as its documentation shows it: one thread, all else as it comes.

    Raises UsageError if it has not the provider.
    """

    def __init__(self, graph: bytes, like: Engine, provider: str) -> None:
        ort: Any = import_module("onnxruntime")
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        if provider.startswith("CUDA"):
            ort.preload_dlls()  # the libraries of CUDA that torch brought
        self._session = ort.InferenceSession(graph, options, providers=[provider])
        if self._session.get_providers()[0] != provider:
            raise UsageError(f"ONNX Runtime took {self._session.get_providers()[0]} for {provider}")
        self.inputs, self.outputs = like.inputs, like.outputs
        self._names = [spec.name for spec in self.outputs]

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs by name."""
        feed = {spec.name: inputs[spec.name] for spec in self.inputs}
        return dict(zip(self._names, self._session.run(self._names, feed), strict=True))

    def close(self) -> None:
        """Do nothing: the process ends."""


class OpenVino:
    """A model compiled by OpenVINO for one thread; two requests take turns, so that nothing is copied.

    Without a type it computes in what it thinks best: in bf16 on processors that have it.
    """

    def __init__(self, model: Any, like: Engine, kind: str = "") -> None:
        core: Any = import_module("openvino").Core()
        settings = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
        if kind:
            settings["INFERENCE_PRECISION_HINT"] = kind
        compiled = core.compile_model(model, "CPU", settings)
        self.inputs, self.outputs = like.inputs, like.outputs
        self._order = [_named(spec, compiled.outputs) for spec in self.outputs]
        self._requests = [compiled.create_infer_request() for _ in range(2)]

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs by name, which are valid through the next call."""
        request = self._requests[0]
        self._requests.reverse()
        feed = {spec.name: inputs[spec.name] for spec in self.inputs}
        found = request.infer(feed, share_inputs=True, share_outputs=True)
        return {spec.name: found[port] for spec, port in zip(self.outputs, self._order, strict=True)}

    def close(self) -> None:
        """Do nothing: the process ends."""


class TransformersPeer:
    """transformers' own classes in torch, with their KV cache.

    Eager operator by operator; with `compiled` each forward by torch.compile, on a GPU as CUDA graphs.
    """

    def __init__(self, device: str = "cpu", compiled: bool = False) -> None:
        torch: Any = import_module("torch")
        torch.set_num_threads(1)
        from vla.backbones.paligemma import load
        from vla.backbones.tokenizer import build_tokenizer

        self._torch = torch
        model, self.config, _ = load(CHECKPOINT)
        self._model: Any = model
        self._model.eval().to(device)
        self.device, self.fixed_cache = device, compiled
        self.forward: Any = self._model
        if compiled:
            mode = "reduce-overhead" if device == "cuda" else "default"
            self.forward = torch.compile(self._model, mode=mode, dynamic=False)
        self.tokenizer = build_tokenizer()
        bundle = load_bundle(default())
        self.image = bundle.manifest.image
        self._decoder = ConstrainedDecoder(GroundingTokenizer(bundle.read("tokenizer")))

    def new_cache(self) -> Any:
        """Return an empty cache: one that grows, or for compiled graphs one whose shape stays."""
        if not self.fixed_cache:
            return None
        from transformers.cache_utils import StaticCache

        return StaticCache(config=self._model.config.get_text_config(), max_cache_len=CACHE_TOKENS)

    def decide(self, image: Image, prompt: str, label: str) -> DecodedText:
        """Return the text."""
        with self._torch.inference_mode():
            generation = _TorchGeneration(self)
            return self._decoder.decode_box(generation.prefill(image, prompt), generation, label)  # type: ignore[arg-type]


class _TorchGeneration:
    """What `edge.model.generation.Generation` is, by transformers' forward."""

    def __init__(self, peer: TransformersPeer) -> None:
        self._peer = peer
        self._cache = peer.new_cache()
        self._length = 0

    def prefill(self, image: Image, prompt: str) -> np.ndarray:
        from vla.backbones.paligemma import prompt_ids

        torch: Any = import_module("torch")
        pixels = torch.from_numpy(image_to_tensor(image, self._peer.image)).to(self._peer.device)
        ids = torch.tensor([prompt_ids(self._peer.tokenizer, prompt, self._peer.config.image_tokens)])
        ids = ids.to(self._peer.device)
        return self._forward(ids, pixel_values=pixels, token_type_ids=torch.zeros_like(ids))

    def decode(self, token: int) -> np.ndarray:
        torch: Any = import_module("torch")
        return self._forward(torch.tensor([[token]], device=self._peer.device))

    def _forward(self, ids: Any, **inputs: Any) -> np.ndarray:
        torch: Any = import_module("torch")
        self._length += ids.shape[1]
        if not self._peer.fixed_cache:  # a cache whose shape stays knows itself what it holds
            inputs["attention_mask"] = torch.ones((1, self._length), dtype=torch.long, device=ids.device)
        found = self._peer.forward(
            input_ids=ids, past_key_values=self._cache, use_cache=True, logits_to_keep=1, **inputs
        )
        self._cache = found.past_key_values
        return found.logits[0, -1].float().cpu().numpy()


def open_peer(name: str, bundle: str, samples: Sequence[Sample], cache: Path) -> Peer:
    """Return a peer by its name; `bundle` is the folder of this runtime's int8 one.

    `samples` are to calibrate on, and `cache` keeps what was made of them.
    """
    fp32 = load_bundle(default())
    if name == "transformers eager":
        return TransformersPeer()
    if name == "transformers compiled":
        return TransformersPeer(compiled=True)
    if name == "transformers CUDA graphs":
        return TransformersPeer("cuda", compiled=True)
    if name in ("onnxruntime fp32", "onnxruntime CUDA"):
        provider = "CUDAExecutionProvider" if name == "onnxruntime CUDA" else "CPUExecutionProvider"
        return GraphPeer(fp32, lambda stage, like: PlainOnnxRuntime(fp32.read(stage), like, provider))
    if name in ("openvino fp32", "openvino"):
        kind = "f32" if name == "openvino fp32" else ""
        read = import_module("openvino").Core().read_model
        return GraphPeer(fp32, lambda stage, like: OpenVino(read(fp32.read(stage)), like, kind))
    if name == "openvino int8":
        models = _quantized(fp32, samples, cache)
        return GraphPeer(fp32, lambda stage, like: OpenVino(models[stage], like))
    return GraphPeer(load_bundle(bundle) if name == "vla-edge int8" else fp32)


PEERS = (
    "transformers eager",
    "transformers compiled",
    "onnxruntime fp32",
    "openvino fp32",
    "openvino",
    "openvino int8",
    "vla-edge fp32",
    "vla-edge int8",
)


GPU_PEERS = ("transformers CUDA graphs", "onnxruntime CUDA")


def _quantized(fp32: Bundle, samples: Sequence[Sample], cache: Path) -> dict[str, str]:
    """Return the files of the graphs as OpenVINO's NNCF quantizes them, made once for each bundle."""
    openvino: Any = import_module("openvino")
    folder = cache / f"openvino-int8-{fp32.sha256[:16]}"
    files = {stage: str(folder / f"{stage}.xml") for stage in STAGES}
    if all(Path(file).is_file() for file in files.values()):
        return files
    nncf: Any = import_module("nncf")
    folder.mkdir(parents=True, exist_ok=True)
    feeds = collect_feeds(fp32, samples)
    for stage, file in files.items():
        found: list[Feed] = feeds[stage]
        model = openvino.Core().read_model(fp32.read(stage))
        quantized = nncf.quantize(
            model,
            nncf.Dataset(found),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(found),
        )
        openvino.save_model(quantized, file, compress_to_fp16=False)
    return files


def _named(spec: TensorSpec, ports: Sequence[Any]) -> Any:
    return next(port for port in ports if spec.name in port.names)
