"""Tables, comparisons, simulations and summaries as text."""
