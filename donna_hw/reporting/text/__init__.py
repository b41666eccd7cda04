"""Results as plain text: what the commands print, and tables that fit the terminal."""
