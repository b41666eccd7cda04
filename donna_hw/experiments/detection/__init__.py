"""Object detection: do the accuracies of searched networks transfer when they are backbones of RetinaNet?"""
