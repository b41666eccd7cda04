"""Search spaces around any torch model, cut into stages at its modules."""
