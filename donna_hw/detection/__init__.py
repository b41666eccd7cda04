"""Networks of a space as backbones of object detectors: feature maps, scenes in COCO's format, RetinaNet, average precision."""
