"""Blocks in PyTorch on a CUDA GPU."""
