"""Numbers, no devices: protocols, samples and what may be said of them."""
