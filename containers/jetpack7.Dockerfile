# JetPack 7 (L4T R38 and R39, Python 3.12): CUDA 13 and TensorRT are in NVIDIA's TensorRT image for 64-bit Arm.
ARG BASE=nvcr.io/nvidia/tensorrt:25.08-py3
# hadolint ignore=DL3006
FROM ${BASE}

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV DEBIAN_FRONTEND=noninteractive
# The system's packages follow NVIDIA's image: no version of them is pinned here.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        python3-venv \
        gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad \
        gstreamer1.0-libav libegl1 libegl-mesa0 libgl1-mesa-dri \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/vla-edge
COPY lock lock
# TensorRT's Python module belongs to the system, so the environment sees the system's packages.
RUN python3 -m venv --system-site-packages .venv \
    && .venv/bin/python -m pip install --no-cache-dir --no-deps --require-hashes -r lock/runtime.txt
COPY . .
RUN .venv/bin/python -m pip install --no-cache-dir '.[jetson]'

WORKDIR /runs
ENTRYPOINT ["/opt/vla-edge/.venv/bin/vla-edge"]
CMD ["--help"]
