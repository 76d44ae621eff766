"""The numbers of the default model's recipe; `training.recipes.grounding` follows it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GrounderRecipe:
    """Every number of the run; saved beside the checkpoint."""

    seed: int = 0
    vision_steps: int = 2000
    vision_batch: int = 48
    steps: int = 6000
    images: int = 24
    questions: int = 3  # per image
    learning_rate: float = 1.2e-3
    weight_decay: float = 0.05
    warmup_steps: int = 200
    ema: float = 0.999
    dense_weight: float = 0.5
    sigma_bins: tuple[float, float] = (24.0, 4.0)  # width of the soft targets, from first to last step
    l1_weight: float = 4.0
    presence_weight: float = 1.0
