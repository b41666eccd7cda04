"""Blockwise knowledge distillation (BKD): each block is trained alone on the feature maps of the teacher."""
