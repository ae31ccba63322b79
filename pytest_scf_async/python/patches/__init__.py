"""What user code calls in the place of the standard library's waits, signals, processes and output."""
