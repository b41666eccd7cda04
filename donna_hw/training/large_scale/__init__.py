"""The paper's training recipe on a folder of images, with timm, in one process or several."""
