"""The figures of the paper, drawn from a run, and the roofline plot of a simulation."""
