"""The live page: what a drive sees and does, in a browser, and a person's stop and hand on the base."""
