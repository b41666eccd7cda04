"""Torch modules of one's own: as layers of blocks, and whole models split into stages."""
