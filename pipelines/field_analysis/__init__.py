"""From fields of view to classified cells."""
