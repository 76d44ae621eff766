"""One peer in a process of its own: it reads the number of a picture, and writes how long a decision took.

Run by `benchmarks.peers.decisions` with the peers' Python: NAME, JOB_FOLDER, BUNDLE, CACHE_FOLDER, CPU.
"""

import json
import os
import sys
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.peers.models import PACKAGES, open_peer
from benchmarks.peers.process import answers
from calibration.sample_set import Question, Sample


def main(argv: list[str]) -> None:
    """Answer until the input ends."""
    name, job, bundle, cache, cpu = argv
    os.sched_setaffinity(0, {int(cpu)})
    with answers() as out:
        pictures = np.load(Path(job) / "pictures.npz")
        texts = json.loads((Path(job) / "questions.json").read_text())
        samples = [
            Sample(image, Question(goal="find_object", target=target, prompt=prompt))
            for image, (target, prompt) in zip(pictures["calibrate"], texts["calibrate"], strict=True)
        ]
        peer = open_peer(name, bundle, samples, Path(cache))
        versions = {package: version(package) for package in PACKAGES if find_spec(package)}
        print(json.dumps(versions), file=out, flush=True)
        target, prompt = texts["ask"]
        for line in sys.stdin:
            image = pictures["ask"][int(line)]
            start_s, start_cpu_s = time.perf_counter(), time.process_time()
            found = peer.decide(image, prompt, target)
            ms, cpu_ms = (time.perf_counter() - start_s) * 1e3, (time.process_time() - start_cpu_s) * 1e3
            answer = {"ms": ms, "cpu_ms": cpu_ms, "text": found.text, "confidence": found.confidence}
            print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
