"""Post-training INT8 quantization (DFQ): trained float32 blocks and networks become 8-bit ones without any training."""
