"""Numbers of others, read into the files of this package: measured networks, latency tables and block libraries."""
