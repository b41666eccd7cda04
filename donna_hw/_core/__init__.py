"""What the other folders share and no user imports: files, journals, units, progress bars, plain statistics; private."""
