"""What each process has that answers a test, whether it runs Python code or a program."""
