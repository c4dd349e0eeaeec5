"""The demo: a small language model answers checkable questions, plain and with a flaming-hot first token.

Run it with `make demo`, or `python -m examples.demo` from the root of the repository; docs/demo.md shows a
result.
"""

import os

# Read when torch loads. By default its waiting threads spin: where another program wants a core as well, a
# step of the model then takes ten times as long and more.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
