"""A page on which a person looks at a model's predictions and keeps what they decided."""
