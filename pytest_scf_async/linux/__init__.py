"""What the kernel is asked, or told, about processes, descriptors, mounts, sockets and signals."""
