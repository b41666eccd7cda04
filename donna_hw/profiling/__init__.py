"""Fill latency tables: schedule trials, run them in workers, record the samples, and compose and calibrate the tables."""
