"""int8: say in one line what this folder is for."""
