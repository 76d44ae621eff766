"""The options of `vla-edge export`, and which of them go together."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge.bundle.manifest import DOMAIN, SIMULATED_ROOMS
from edge.commands.arguments import (
    ArgumentParser,
    image_size,
    non_negative_float,
    non_negative_int,
    positive_int,
)
from edge.errors import UsageError
from export.measure.methods import METHODS, Method
from export.planner.boards import BOARDS
from export.precision.options import BUDGETS_DB, PRECISIONS, Precision, PrecisionOptions
from export.sources.find import ModelKind

_CALIBRATE = "make one with `vla-edge calibrate activations --robot sim --bundle FP32_BUNDLE --out DIR`"
_GATE_ONLY = ("calibration", "method", "force", "plot", "against_seed", "episodes")
_SMALL_ONLY = ("plot", "against_seed", "episodes", "images", "method", "budget_db")


@dataclass(frozen=True)
class ExportOptions:
    """The options of one export; the help of the parser says what each of them means."""

    given: str | None  # MODEL, alone
    model: str | None  # MODEL, behind --model
    head: Path | None
    out: Path
    name: str | None
    precision: Precision
    engine: Literal["onnxruntime", "tensorrt", "torch2trt"]
    calibration: Path | None
    method: Method | None
    budget_db: float | None
    plot: Path | None
    against_seed: str | None
    episodes: int
    smooth: Literal["auto", "off"]
    board: str | None
    force: bool
    images: Path | None
    camera: tuple[int, int]  # height and width in pixels
    prompt_tokens: int | None
    answer_tokens: int
    floor: Path | None
    domain: str | None
    floor_domain: str
    json: bool

    @property
    def bundle_name(self) -> str:
        """The name in the bundle's manifest."""
        return self.name or self.out.name

    def for_precision(self) -> PrecisionOptions:
        """Return the options that the change of precision takes."""
        profile = "onnxruntime" if self.engine == "onnxruntime" else "tensorrt"
        return PrecisionOptions(
            self.precision, profile, self.method, self.budget_db, self.smooth, self.board or ""
        )

    def validate(self, kind: ModelKind | None = None) -> None:
        """Check before any long work what would only fail after it.

        Without the kind of the model, checks what holds for all kinds.

        Raises UsageError for options that don't go with each other or with the model, and HardwareMissing if
        torch2trt is wanted and TensorRT is not installed.
        """
        if self.precision == "fp32":
            self._refuse(_GATE_ONLY, "for other precisions than fp32", "give --precision, such as int8")
            if self.engine == "tensorrt":
                raise UsageError(
                    "--engine tensorrt is for other precisions than fp32",
                    "give --precision, such as fp16; `vla-edge build` adds plans to a bundle",
                )
        elif self.calibration is None:
            raise UsageError(
                f"{self.precision} needs --calibration DIR: its gate looks at those pictures", _CALIBRATE
            )
        if self.precision in ("fp16", "bf16"):
            self._refuse(("method", "budget_db"), "for precisions that are calibrated", "leave them out")
        self.for_precision().validate()
        if self.plot is not None:
            from export.gate.plot import check_plot  # it needs onnx, which --help does not

            check_plot(self.plot)
        if self.episodes:
            from export.gate.drive import find_episodes  # likewise

            find_episodes()
        if self.engine == "torch2trt" and kind is not None:
            self._validate_torch2trt(kind)
        if kind == "large":
            self._refuse(_SMALL_ONLY, "for models of up to 1 GiB of fp32 weights", "leave them out")
        if kind == "bundle":
            self._refuse(("images", "floor"), "for checkpoints, not for bundles", "give a checkpoint")
            if self.precision == "fp32":
                raise UsageError(
                    "the model is an fp32 bundle already; only its precision can be changed",
                    "give --precision, such as int8, or a checkpoint",
                )

    def _validate_torch2trt(self, kind: ModelKind) -> None:
        if kind in ("bundle", "large"):
            what = "bundle" if kind == "bundle" else "large checkpoint"
            raise UsageError(
                f"torch2trt takes small checkpoints, and this model is a {what}", "give --engine tensorrt"
            )
        from export.tensorrt.torch2trt import check_torch2trt  # torch takes seconds to import

        check_torch2trt(self.precision)

    def _refuse(self, names: Sequence[str], why: str, hint: str) -> None:
        """Refuse these options. Raises UsageError if one was given, and names those that were."""
        given = [name for name in names if self._is_given(name)]
        if given:
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise UsageError(f"{flags} {'is' if len(given) == 1 else 'are'} {why}", hint)

    def _is_given(self, name: str) -> bool:
        value = getattr(self, name)
        return value is not None and value is not False and (name != "episodes" or value > 0)


def parse_options(argv: list[str]) -> ExportOptions:
    """Read the options on a command line. Raises UsageError for those that can't be read."""
    return ExportOptions(**vars(_parser().parse_args(argv)))


def _parser() -> ArgumentParser:
    p = ArgumentParser("export", "Make a bundle of a checkpoint or another bundle, and compare both.")
    p.add_argument(
        "given", nargs="?", metavar="MODEL", help="a checkpoint's folder, ORG/NAME on the hub, an fp32 bundle"
    )
    p.add_argument("--model", metavar="MODEL", help="the same")
    p.add_argument("--head", type=Path, help="a policy's checkpoint, such as OUT/best of `vla-edge train`")
    p.add_argument("--out", type=Path, required=True, help="folder of the bundle; replaced if there")
    p.add_argument("--name", help="name in the manifest; default: the name of --out")
    p.add_argument("--precision", choices=PRECISIONS, default="fp32", help="default: %(default)s")
    p.add_argument(
        "--engine",
        choices=("onnxruntime", "tensorrt", "torch2trt"),
        default="onnxruntime",
        help="default: %(default)s; torch2trt builds plans at once, on the device that they are for",
    )
    p.add_argument("--calibration", type=Path, help="folder of `vla-edge calibrate activations`")
    p.add_argument(
        "--method", choices=METHODS, help="method of calibration; default: the best for each graph"
    )
    p.add_argument(
        "--budget-db",
        type=non_negative_float,
        help="keep layers wide until a graph's noise is so many dB below its signal; 0 keeps none; default: "
        + ", ".join(f"{kind} {db:g}" for kind, db in BUDGETS_DB.items())
        + ", auto 34 and more until the gate passes",
    )
    p.add_argument(
        "--plot", type=Path, help="draw what the gate measured into this .png, also when it refuses"
    )
    p.add_argument(
        "--against-seed",
        metavar="BUNDLE",
        help="an fp32 bundle of the same training with another seed, to compare the differences with",
    )
    p.add_argument(
        "--episodes",
        type=non_negative_int,
        default=0,
        help="drive both bundles in so many simulated rooms as a part of the gate; fewer than 100 prove "
        "little (default: %(default)s)",
    )
    p.add_argument(
        "--smooth", choices=("auto", "off"), default="auto", help="SmoothQuant for int8, if it is better"
    )
    p.add_argument("--board", choices=tuple(BOARDS), help="the bundle's board; what it lacks is refused")
    p.add_argument("--force", action="store_true", help="write the bundle even if it is too far from fp32")
    p.add_argument(
        "--images", type=Path, help="folder of images to compare with torch on, besides random ones"
    )
    p.add_argument(
        "--camera",
        type=image_size,
        default=(480, 640),
        metavar="WxH",
        help="pixels of the images to come, for families that keep their shape (default: 640x480)",
    )
    p.add_argument(
        "--prompt-tokens",
        type=positive_int,
        help="most tokens of a prompt; default: those of the longest prompt and a few more",
    )
    p.add_argument(
        "--answer-tokens",
        type=positive_int,
        default=96,
        help="most tokens of an answer (default: %(default)s)",
    )
    p.add_argument(
        "--floor", type=Path, help="ONNX file of python -m training.recipes.floor, to put into the bundle"
    )
    p.add_argument(
        "--domain",
        type=_domain,
        help=f"what the training has shown the model, such as {SIMULATED_ROOMS} or real-rooms; a bundle of "
        f"{SIMULATED_ROOMS} is refused by a robot with a real camera (default: what the model states)",
    )
    p.add_argument(
        "--floor-domain",
        type=_domain,
        default=SIMULATED_ROOMS,
        help="the same of the floor net behind --floor (%(default)s)",
    )
    p.add_argument("--json", action="store_true", help="print figures as JSON")
    return p


def _domain(text: str) -> str:
    if not re.fullmatch(DOMAIN, text):
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is not a word such as real-rooms: a to z, 0 to 9 and -"
        )
    return text
