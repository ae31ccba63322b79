"""The threads of one instance: what each waits for, and which one runs next."""
