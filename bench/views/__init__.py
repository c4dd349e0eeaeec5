"""The parts of bench/report.py: tables and pictures of a results file (harness/schema.py)."""
