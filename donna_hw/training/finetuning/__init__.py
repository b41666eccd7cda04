"""End-to-end finetuning of whole networks from the Block Library with soft labels."""
