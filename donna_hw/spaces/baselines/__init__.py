"""Published networks to compare with, as a space of one stage whose blocks are whole networks."""
