"""Gates: points in user code at which the test asked the instance to stop."""
