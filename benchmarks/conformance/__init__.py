"""One property suite that every variant passes through, knowing nothing about it but its metadata."""
