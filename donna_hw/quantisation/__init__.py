"""Trained networks made INT8 without training: Data-Free Quantization (Nagel et al., ICCV 2019), which the paper uses (appendix D)."""
