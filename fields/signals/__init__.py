"""The signals that a field can be fitted to. One knows its target and its score, and no model."""
