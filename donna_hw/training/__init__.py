"""Train networks and blocks: datasets, distillation, finetuning, quantization, the libraries of results, and executors."""
