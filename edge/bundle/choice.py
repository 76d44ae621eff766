"""Which engines can be asked for, and which bundle `auto` takes.

That is int8 where the processor multiplies bytes fast, and fp32 elsewhere.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

ENGINES = ("cpu", "cuda")  # ONNX Runtime on either, see `edge.engines.open`
AUTO = "auto"
AUTO_HELP = (
    "a name or a folder; auto: default-int8 on processors that multiply bytes fast (VNNI, or Arm's dot "
    "products), default in fp32 on others (%(default)s)"
)
# Linux names them so in /proc/cpuinfo. Without one of them, ONNX Runtime's int8 sums are slow or saturate.
FAST_INT8 = ("avx512_vnni", "avx_vnni", "asimddp")
_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class DefaultBundle:
    """The name of a bundle, and the reason for it, for people."""

    name: str
    reason: str


def choose(cpuinfo: str) -> DefaultBundle:
    """Return the bundle for a processor by the text of /proc/cpuinfo; what all its cores have counts."""
    cores = [
        frozenset(value.split())
        for name, separator, value in (line.partition(":") for line in cpuinfo.splitlines())
        if separator and name.strip() in ("flags", "Features")
    ]
    if not cores:
        return DefaultBundle("default", "fp32: /proc/cpuinfo does not tell what the processor can do")
    found = next((each for each in FAST_INT8 if all(each in core for core in cores)), None)
    if found is None:
        return DefaultBundle("default", f"fp32: the processor has none of {', '.join(FAST_INT8)}")
    return DefaultBundle("default-int8", f"int8: the processor has {found}")


@functools.cache
def choose_here(engine: str = "") -> DefaultBundle:
    """Return the bundle for this machine's processor, or for CUDA if that is the `engine`."""
    if engine == "cuda":
        return DefaultBundle("default", "fp32: ONNX Runtime's CUDA provider has no products of int8")
    try:
        return choose(_CPUINFO.read_text())
    except OSError:  # systems other than Linux have no such file
        return choose("")
