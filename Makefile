# `make run` and `make test` do all their own set-up in .venv, and say first what they install; a second call
# starts at once.
# PYTHON=python3.12 picks another interpreter; PIP_FLAGS="..." is handed to pip for torch.
export PYTHON PIP_FLAGS

.PHONY: run test clean

run: .venv/.runtime-ready
	@.venv/bin/vla-edge run --goal find_object --target cup

test: .venv/.dev-ready
	@scripts/check

.venv/.runtime-ready .venv/.dev-ready: .venv/.%-ready: setup.py scripts/setup $(wildcard lock/*.txt)
	@scripts/setup $*

clean:
	rm -rf .venv build *.egg-info
