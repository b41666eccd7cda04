"""A phone over adb: its client, its state, its files, and the runners that time blocks on it."""
