"""What a run ran in and read: the kernel's environment, the machine, git, files."""
