"""The data pipeline: samples of demonstrations to batches on the device."""
