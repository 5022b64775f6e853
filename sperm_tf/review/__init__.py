"""A page on which a person looks at a model's answers and keeps what they decided."""
