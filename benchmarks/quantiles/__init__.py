"""How far off quantiles are, and how long they take."""
