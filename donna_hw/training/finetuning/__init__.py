"""End-to-end finetuning of whole networks with soft labels, initialized from the Block Library."""
