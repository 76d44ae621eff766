"""`python -m benchmarks.cameras cost|lag`."""

from benchmarks.cameras.measure import main

main()
