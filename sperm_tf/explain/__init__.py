"""Maps that show where the network looked."""
