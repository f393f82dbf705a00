"""The writing side of the flag, which only the daemon uses: decide, vote, lease, flip."""
