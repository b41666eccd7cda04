"""What whole architectures cost: from tables, corrected by whole networks, or measured; each with an error bar."""
