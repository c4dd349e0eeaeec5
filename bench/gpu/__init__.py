"""The parts of bench/kernels.py: cells, goals, clocks, tables."""
