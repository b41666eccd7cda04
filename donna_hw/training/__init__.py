"""Training from scratch on a folder of images, in one process or several, as the paper trains its references (A.1)."""
