"""What a run is made of: its folder, the networks it draws, and how it trains them."""
