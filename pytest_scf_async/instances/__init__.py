"""What runs user code: processes, their state and their output, and real waits."""
