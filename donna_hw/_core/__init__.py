"""Domain-free helpers: atomic files, journals, CSV and TOML, units, progress, ranking and bootstrap statistics."""
