"""Figures of budgets and their ledgers: ``python -m benchmarks.budgets``."""
