"""The report of a run as one HTML file: its content, its data for the scripts, and the page."""
