"""The shutdown sweep: a handler is interrupted at every point where it can be, and what is lost then is said."""
