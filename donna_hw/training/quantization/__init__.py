"""Data-Free Quantization (Nagel et al., ICCV 2019): INT8 networks without training and without images."""
