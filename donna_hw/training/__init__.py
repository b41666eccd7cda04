"""Training: the reference network, blocks by distillation, whole networks by finetuning, and the libraries that hold them."""
