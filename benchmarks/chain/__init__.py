"""What dpframe's own work costs, beside the same steps written by hand."""
