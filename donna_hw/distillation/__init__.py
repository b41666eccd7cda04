"""Training: the reference network, its blocks one by one (BKD), and whole networks from them (EKD)."""
