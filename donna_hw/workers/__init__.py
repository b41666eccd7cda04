"""Workers: each holds one device and visits blocks on it, here or in a process of its own."""
