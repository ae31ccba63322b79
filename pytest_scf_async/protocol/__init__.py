"""What the processes of the product say to each other, and what the kernel gives all of them."""
