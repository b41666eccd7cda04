"""baselines: say in one line what this folder is for."""
