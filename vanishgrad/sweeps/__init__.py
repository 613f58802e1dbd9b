"""Many runs at once: grouped by structure, trained as stacks, on several processes, resumable."""
