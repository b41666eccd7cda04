"""Blockwise knowledge distillation (paper section 3 and A.1): train every block against the teacher's feature maps."""
