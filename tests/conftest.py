"""Settings that must stand before torch is imported."""

import os

# Threads that spin while they wait make the tests three times slower beside another busy process.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
