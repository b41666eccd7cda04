"""Train networks and blocks: data sets, distillation, finetuning, quantization, libraries and executors."""
