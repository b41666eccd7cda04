"""The interactive report of a run as a single HTML file."""
