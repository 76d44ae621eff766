"""What many tests share: a tiny random PaliGemma, as a checkpoint and as a bundle."""

import gc
import os
from collections.abc import Generator
from pathlib import Path

import PIL
import pytest
from hypothesis import settings
from packaging.version import Version

from edge.model import resample
from tests.made_once import made_once

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("untimed", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=40)


def pytest_configure(config: pytest.Config) -> None:
    """Draw as many examples as hypothesis does by itself only where slow tests may run, too."""
    if not config.getoption("hypothesis_profile", None):
        settings.load_profile("quick" if "not slow" in config.getoption("markexpr") else "untimed")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the collector of garbage from walking over all that is imported again and again.

    It stays for the whole session, torch included, and took a sixth of the processor time of the tests.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)


@pytest.fixture(autouse=True)
def passes_of_this_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processors are compared in the order of passes that their Pillow has (decision 8)."""
    if Version(PIL.__version__) < Version("13"):
        monkeypatch.setattr(resample, "height_first", lambda *_: False)


def of_all_workers(factory: pytest.TempPathFactory) -> Path:
    return factory.getbasetemp() / (".." if "PYTEST_XDIST_WORKER" in os.environ else "")


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A net with 6 image tokens, and weights so large that its answers depend on the image."""
    return made_once("tiny-checkpoint", of_all_workers(tmp_path_factory), _save_tiny_checkpoint)


@pytest.fixture(scope="session")
def tiny_bundle(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of that checkpoint's bundle. Copy it before changing anything in it."""

    def write(folder: Path) -> None:
        from edge.bundle.bundle import write_bundle
        from export.sources.build import SourceOptions, build_bundle

        write_bundle(folder / "tiny", build_bundle(tiny_checkpoint, SourceOptions("tiny")))

    return made_once("tiny-bundle", of_all_workers(tmp_path_factory), write) / "tiny"


def _save_tiny_checkpoint(folder: Path) -> None:
    import torch

    from vla.backbones.paligemma import TinyConfig, build_paligemma, save
    from vla.backbones.tokenizer import build_tokenizer

    torch.manual_seed(0)
    torch.set_num_threads(1)  # more only get in each other's way at this size
    config = TinyConfig(
        image_height=32,
        image_width=48,
        stem_widths=(8, 8, 16),
        vision_width=32,
        vision_layers=1,
        vision_mlp=64,
        text_width=32,
        text_layers=2,
        text_mlp=64,
        initializer_range=0.5,
    )
    model = build_paligemma(config).train()
    with torch.no_grad():
        model.model.vision_tower.embeddings.projection.weight.mul_(20)
        for _ in range(8):  # so that batch statistics are not the initial ones
            model.model.vision_tower(torch.randn(8, 3, 32, 48) * 2 + 1)
    save(model, config, build_tokenizer(), folder)
