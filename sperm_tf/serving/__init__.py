"""The exported model and its clients."""
