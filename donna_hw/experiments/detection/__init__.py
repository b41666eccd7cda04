"""Backbones from a search in RetinaNet: do their accuracies transfer to object detection?"""
