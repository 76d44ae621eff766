"""Random inputs of tiny policies."""

import torch

from vla.backbones.backbone import Backbone
from vla.backbones.tiny import FIRST_ACTION, image_side
from vla.fusion import Inputs


def tiny_inputs(backbone: Backbone, rows: int, steps: int, pose_dims: int = 6) -> Inputs:
    """Random inputs with both cameras and a state; every second instruction is a word shorter."""
    side = image_side(backbone)
    ids_mask = torch.ones(rows, 3, dtype=torch.bool)
    ids_mask[1::2, 2] = False
    return Inputs(
        images=torch.randn(rows, steps, 3, side, side),
        ids=torch.randint(10, FIRST_ACTION, (rows, 3)),
        ids_mask=ids_mask,
        valid=torch.ones(rows, steps, dtype=torch.bool),
        hand_images=torch.randn(rows, steps, 3, side, side),
        state=torch.cat([torch.randn(rows, steps, pose_dims), torch.randint(0, 2, (rows, steps, 1))], dim=-1),
    )
