"""What a stage is, what it leaves on disk, and where that came from."""
