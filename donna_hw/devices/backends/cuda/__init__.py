"""Backend `cuda`: blocks on CUDA GPUs by PyTorch, eager or as CUDA graphs."""
