"""How an instance of each kind of runtime is started and spoken to."""
