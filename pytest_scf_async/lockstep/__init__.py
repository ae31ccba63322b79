"""Who runs when: of one runtime one thread computes at a time, and only while the test waits for it."""
