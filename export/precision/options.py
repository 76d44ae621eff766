"""The precision that a bundle is to have, and how its layers are chosen."""

from dataclasses import dataclass
from typing import Literal, get_args

from edge.errors import UsageError
from export.measure.methods import Method
from export.planner.boards import BOARDS, check_board

Precision = Literal["fp32", "fp16", "bf16", "int8", "int4", "fp8", "nvfp4", "auto"]
Profile = Literal["onnxruntime", "tensorrt"]  # the engine that graphs are written for
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
# How far below the signal the noise of a graph is expected to be; int4 is of decode alone. E4M3 and E2M1 have
# 3 and 1 bits of mantissa in every layer, and no choice of layers reaches what int8 does.
BUDGETS_DB = {"int8": 40.0, "int4": 28.0, "fp8": 30.0, "nvfp4": 30.0}
AUTO_BUDGETS_DB = (34.0, 37.0, 40.0, 43.0)  # tried in turn, until the gate passes one
_TENSORRT_ONLY = ("bf16", "fp8", "nvfp4")


@dataclass(frozen=True)
class PrecisionOptions:
    """The precision to make, and what limits the choice of layers."""

    precision: Precision
    profile: Profile
    method: Method | None = None  # how ranges are computed; None: for each graph by the best method
    budget_db: float | None = None  # None: see BUDGETS_DB; 0: no layer is kept
    smooth: Literal["auto", "off"] = "auto"
    board: str = ""

    def validate(self) -> None:
        """Raise UsageError for a precision that the engine or the board does not have."""
        if self.board:
            check_board(self.board, self.precision)
        if self.precision == "auto" and self.profile == "tensorrt" and not self.board:
            raise UsageError(
                "auto for TensorRT needs to know the board's speed", f"give --board {'|'.join(BOARDS)}"
            )
        if self.precision in _TENSORRT_ONLY and self.profile == "onnxruntime":
            raise UsageError(
                f"ONNX Runtime computes no {self.precision} on a CPU",
                "give --engine tensorrt, or --precision fp16 or int8",
            )
