"""Read published measurements into this package's files: HELP, Once-for-All, ProxylessNAS."""
