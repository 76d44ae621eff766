"""Why a drive was late: the machine, a camera, its stamps, or the model."""
