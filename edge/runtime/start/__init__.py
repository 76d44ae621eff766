"""What comes before a drive: loading its model, and the model's first answer."""
