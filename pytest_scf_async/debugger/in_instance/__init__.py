"""What a debugger has in each instance."""
