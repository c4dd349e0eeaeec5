"""What every benchmark of this folder shares: cases, timing in turns, checks, goals, reports."""
