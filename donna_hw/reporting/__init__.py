"""Show results: the HTML report of a run, figures, text for the terminal, and the summary."""
