"""How the network learns: optimizers, schedules, batches, and the loop."""
