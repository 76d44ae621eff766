"""What a policy does whose model answers late: it drives more slowly, or stops, looks and moves."""
