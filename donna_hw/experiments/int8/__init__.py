"""The unchanged predictor on INT8 networks, and what quantization does to accuracy and latency (paper, appendix D)."""
