"""Classification networks as backbones of detectors (paper, appendix B)."""
