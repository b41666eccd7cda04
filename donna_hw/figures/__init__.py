"""Figures of the paper, from a run's own data: one file and one public function each, and the files that they are written to."""
