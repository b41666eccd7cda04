"""The paper's training recipe (A.1) at full size, with timm, on one or several GPUs."""
