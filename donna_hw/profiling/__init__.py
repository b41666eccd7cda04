"""Fill latency tables: scheduler, workers, sample journal, composition and calibration."""
