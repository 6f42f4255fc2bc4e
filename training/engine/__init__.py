"""The training engine, on Lightning: one configuration file a network, the same loop for every source of samples."""
