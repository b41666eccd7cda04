"""What any torch module costs in multiply-accumulates and parameters, and what in it is not counted."""
