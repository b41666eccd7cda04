"""The mean and standard deviation of ImageNet's channels, in 0..1, by which pretrained models normalize their images."""

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
