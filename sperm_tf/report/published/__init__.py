"""The pages docs/results.md and docs/trust.md."""
