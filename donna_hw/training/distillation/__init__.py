"""Blockwise knowledge distillation (paper section 3 and A.1): train every block to reproduce the feature maps of the teacher."""
