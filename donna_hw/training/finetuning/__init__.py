"""End-to-end knowledge distillation (EKD): whole networks are finetuned from the Block Library."""
