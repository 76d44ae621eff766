"""The data pipeline: from samples of demonstrations to batches on the device."""
