"""What commands print: tables and summaries for people, each number with its unit."""
