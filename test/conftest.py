"""What holds for every test: one thread. Toy tensors gain nothing from more, and threads that wait for each
other beside another busy program make a suite of minutes one of many.
"""

import os

# Read when torch is loaded, here and in the programs that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
