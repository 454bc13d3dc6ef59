"""What is: the only folder that touches the kernel, the disk outside the journal, and the network."""
