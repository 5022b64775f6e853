"""Fields of view: finding heads, cutting crops, and reading annotated fields."""
