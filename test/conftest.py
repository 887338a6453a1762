"""Run every test with one thread.

Toy tensors gain nothing from more threads, and on a busy machine threads that wait for each other make the
suite several times slower.
"""

import os

# torch reads this when it is loaded, here and in the programs that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
