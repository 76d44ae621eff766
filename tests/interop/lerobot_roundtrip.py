"""Opens a collected dataset with the real `lerobot` package, whose pins do not go with ours.

Run it by hand:

vla-edge collect --episodes 3 --out /tmp/demos
python -m venv /tmp/lerobot && /tmp/lerobot/bin/pip install 'lerobot>=0.4'
/tmp/lerobot/bin/python tests/interop/lerobot_roundtrip.py /tmp/demos
"""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from lerobot.datasets.lerobot_dataset import LeRobotDataset


def main() -> None:
    path = Path(sys.argv[1])
    dataset = LeRobotDataset("local/collected", root=path, delta_timestamps={"action": [0.0, 0.1, 0.2]})
    meta = dataset.meta
    print(f"lerobot {version('lerobot')} opens {path}: {meta.robot_type}, {meta.fps} fps, {meta.camera_keys}")
    print(f"{dataset.num_episodes} episodes, {dataset.num_frames} frames, tasks {list(meta.tasks.index)}")
    columns = [key for key, f in meta.features.items() if f["dtype"] not in ("image", "video")]
    stored = pq.read_table(path / "data", columns=columns).to_pydict()
    assert len(stored["index"]) == dataset.num_frames
    for i in {0, dataset.num_frames // 2, dataset.num_frames - 1}:
        item = dataset[i]
        np.testing.assert_array_equal(item["action"][0].numpy(), np.float32(stored["action"][i]))
        state = np.float32(stored["observation.state"][i])
        np.testing.assert_array_equal(item["observation.state"].numpy(), state)
        assert item["task"] == meta.tasks.index[stored["task_index"][i]]
        for camera in meta.camera_keys:
            height, width, channels = meta.features[camera]["shape"]
            picture = item[camera]
            assert tuple(picture.shape) == (channels, height, width), picture.shape
            assert 0 <= float(picture.min()) < float(picture.max()) <= 1
    actions = np.array(stored["action"])
    np.testing.assert_allclose(meta.stats["action"]["mean"], actions.mean(0), atol=1e-6)
    np.testing.assert_allclose(meta.stats["action"]["max"], actions.max(0), atol=1e-6)
    print("numbers, pictures, tasks, chunks and statistics agree with what was written")


if __name__ == "__main__":
    main()
