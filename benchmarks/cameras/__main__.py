"""`python -m benchmarks.cameras`."""

from benchmarks.cameras.measure import main

main()
