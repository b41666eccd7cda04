"""What people look at: the picture of a run, its page, and its summary."""
