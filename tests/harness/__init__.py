"""What tests of several folders share: real processes, protocols spoken byte by byte, the model."""
