"""What is measured: a module for every engine, run in that engine's environment."""
