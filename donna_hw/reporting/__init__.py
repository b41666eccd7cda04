"""What a run shows: the HTML report, figures, text for the terminal, and the summary."""
