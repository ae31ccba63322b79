"""What runs user code: processes, the turn that one thread of a runtime has at a time, and real waits."""
