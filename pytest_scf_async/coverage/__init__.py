"""Coverage of user code: instances measure as the test process does, and hand that in."""
