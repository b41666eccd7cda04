"""Backend `cuda`: measure blocks on CUDA GPUs with PyTorch, eagerly or as CUDA graphs."""
