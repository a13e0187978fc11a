"""dpframe."""
