"""The one place that names wings: what each adds to the kernel's classes, to pytest and to the command line."""
