"""A recipe (TOML) becomes a run: a folder of plain files that the steps of `steps/` write, in the order of `pipeline.py`."""
