"""The study of a run: how good its predictor is, beside its rivals, the noise of finetuning, and the networks of its front."""
